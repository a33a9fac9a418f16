//! Results that are for a node that is away while they are made.

use std::time::{Duration, Instant};

use thalweg::client::ORDER_TIME;
use thalweg::daemon::{DaemonError, DeliveryShown, Order, OutputShown, Results};
use thalweg::emulate::Way;
use thalweg::identity::NodeId;
use thalweg_modules::random;
use tokio::time::sleep;

use crate::Settings;
use crate::report::Outcome;
use crate::site::{Failed, NAME, Plan, Site, link};

/// Requests of each phase.
const COUNT: u64 = 12;
/// All that waits is there by then, after a link is back.
const PATIENCE: Duration = Duration::from_secs(40);

/// Requests one after the other, each with an input of its own, and what was answered.
#[derive(Default)]
struct Asked {
    count: u64,
    answered: Vec<Vec<u8>>,
    /// Of these it is not known whether they were answered.
    unknown: usize,
}

impl Asked {
    async fn ask(&mut self, site: &Site, count: u64) -> Result<(), Failed> {
        let spoken = site.spoken(2).await?;
        for _ in 0..count {
            self.count += 1;
            let input = random::random(site.question.inputs[0].spec(), self.count, None)?;
            match spoken.ask(NAME, vec![input], site.question.deadline).await {
                Ok((_, outputs)) => self.answered.push(outputs.concat()),
                Err(DaemonError::Refused(_)) => {}
                Err(_) => self.unknown += 1,
            }
        }
        Ok(())
    }

    /// As many, and in the midst of one of them the device ends.
    async fn ask_and_kill(&mut self, site: &mut Site) -> Result<(), Failed> {
        self.ask(site, COUNT / 2).await?;
        let spoken = site.spoken(2).await?;
        self.count += 1;
        let input = random::random(site.question.inputs[0].spec(), self.count, None)?;
        let deadline = site.question.deadline;
        let asking = tokio::spawn(async move { spoken.ask(NAME, vec![input], deadline).await });
        sleep(Duration::from_millis(60)).await;
        site.kill(2);
        // The connection to a process that has ended is given up after a while; nobody waits for that.
        match tokio::time::timeout(deadline, asking).await {
            Ok(Ok(Ok((_, outputs)))) => self.answered.push(outputs.concat()),
            _ => self.unknown += 1,
        }
        site.start(2).await?;
        self.ask(site, COUNT / 2).await
    }
}

pub(crate) async fn offline(settings: Settings, outcome: &mut Outcome) -> Result<(), Failed> {
    let rounds = if settings.long { 5 } else { 1 };
    let mut site = Site::open(Plan::default()).await?;
    site.deliver_to("cloud")?;
    site.deploy().await?;
    site.settled(Duration::from_secs(60)).await?;
    let mut asked = Asked::default();
    for round in 0..rounds {
        asked.ask(&site, COUNT).await?;
        if round == 0 {
            // Under its new key the device is the same node.
            site.spoken(2).await?.order::<NodeId>(&Order::Rotate, ORDER_TIME).await?;
        }
        // What is delivered arrives, and nothing comes back.
        site.posts[0].link.cut(Way::Down, true);
        asked.ask(&site, COUNT / 2).await?;
        (0..3).for_each(|place| site.cut(place, true));
        asked.ask_and_kill(&mut site).await?;
        let waited = delivery(&site).await?;
        outcome.check(format!("round {round}: results wait"), waited.waiting > 0, waited.waiting);
        // So slow that the cloud ends while they come.
        site.shape(0, &link(1.0, Plan::default().delay), settings.seed);
        (0..3).for_each(|place| site.cut(place, false));
        sleep(Duration::from_millis(700)).await;
        site.kill(0);
        sleep(Duration::from_millis(500)).await;
        site.start(0).await?;
        site.shape(0, &link(Plan::default().mbit, Plan::default().delay), settings.seed);
        let back = Instant::now();
        let mut now = delivery(&site).await?;
        while now.waiting > 0 && back.elapsed() < PATIENCE {
            sleep(Duration::from_millis(50)).await;
            now = delivery(&site).await?;
        }
        let measured = format!("{:.1?} after the cloud was up, {} bytes left on disk", back.elapsed(), now.bytes);
        outcome.check(format!("round {round}: all delivered"), now.waiting == 0, measured);
        outcome.check(
            format!("round {round}: none not stored, none damaged"),
            now.not_stored + now.damaged == 0,
            format!("{now:?}"),
        );
    }
    compare(&site, &asked, outcome).await
}

async fn delivery(site: &Site) -> Result<DeliveryShown, Failed> {
    let status = site.status(2).await?;
    let delivery = status.deployments.into_iter().next().and_then(|deployment| deployment.delivery);
    delivery.ok_or_else(|| "the device delivers nothing".into())
}

/// What the cloud has beside what was answered.
async fn compare(site: &Site, asked: &Asked, outcome: &mut Outcome) -> Result<(), Failed> {
    let (cloud, mut here, mut after) = (site.spoken(0).await?, Vec::new(), 0);
    loop {
        let order = Order::Results { name: NAME.to_owned(), from: None, after };
        let page: Results = cloud.order(&order, ORDER_TIME).await?;
        if page.damaged > 0 {
            return Err(format!("{} results are damaged", page.damaged).into());
        }
        for result in &page.results {
            let tensors: Option<Vec<_>> = result.outputs.iter().map(OutputShown::tensor).collect();
            let tensors = tensors.ok_or("a result has no tensors")?;
            here.push(tensors.iter().flat_map(|tensor| tensor.data().to_vec()).collect::<Vec<u8>>());
        }
        if page.through <= after {
            break;
        }
        after = page.through;
    }
    let mut rest = here.iter();
    let found = asked.answered.iter().filter(|answer| rest.any(|result| result == *answer)).count();
    let measured = format!("{found} of {} answers of {} requests", asked.answered.len(), asked.count);
    outcome.check("every answer is there, in order, bit for bit", found == asked.answered.len() && found > 0, measured);
    let mut distinct = here.clone();
    distinct.sort();
    distinct.dedup();
    outcome.check("each once", distinct.len() == here.len(), format!("{} results", here.len()));
    let others = here.len().saturating_sub(found);
    let measured = format!("{others}, where {} requests were asked when the device ended", asked.unknown);
    outcome.check("nothing else", others <= asked.unknown, measured);
    Ok(())
}
