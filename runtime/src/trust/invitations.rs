//! Invitations that a node has made and that nobody has used yet.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Invitation, Role, Secret, TrustError, kept};
use crate::identity::NodeId;

/// Most that are open at once.
pub const INVITATIONS_MAX: usize = 256;

/// Longest time that one can be open: a week, in which a device can be brought to its place.
pub const INVITATION_SPAN_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Largest file of them: each takes about 200 bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

const REMEDY: &str = "and make new invitations";

/// The invitations that are open, in a file of the node's state. It holds hashes: who reads it can use none of them.
///
/// Times are of a monotonic clock that starts with the node. In the file stands how much time each invitation had left
/// when the file was last written: when it was made, when one was made or used after it, and at each
/// [`Invitations::keep`]. After a restart it has that much left, so it is never open for longer than it was made for,
/// save for the time that the node was stopped and what passed between the last writing and a crash.
#[derive(Debug)]
pub struct Invitations {
    file: PathBuf,
    open: Vec<Open>,
    wrong_guesses: u64,
}

#[derive(Debug, Clone)]
struct Open {
    hash: blake3::Hash,
    role: Role,
    expires: Duration,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// BLAKE3 of the secret: with 128 random bits in it, no guess finds it.
    hash: String,
    role: Role,
    remaining_ms: u64,
}

impl Invitations {
    /// Those of this file, or none if it is not there.
    pub fn open(file: &Path, now: Duration) -> Result<Self, TrustError> {
        let kept: Vec<Kept> = kept::read(file, FILE_BYTES_MAX, REMEDY)?.unwrap_or_default();
        let damaged =
            |reason: &str| TrustError::Damaged { file: file.to_owned(), reason: reason.into(), remedy: REMEDY };
        let open = kept.into_iter().map(|kept| {
            let hash =
                blake3::Hash::from_hex(&kept.hash).map_err(|_| damaged("a hash is not 64 hexadecimal digits"))?;
            let remaining = Duration::from_millis(kept.remaining_ms);
            let within = Some(remaining).filter(|remaining| *remaining <= INVITATION_SPAN_MAX);
            let expires = now + within.ok_or_else(|| damaged("an invitation is open for too long"))?;
            Ok(Open { hash, role: kept.role, expires })
        });
        let open = open.collect::<Result<Vec<_>, TrustError>>()?;
        if open.len() > INVITATIONS_MAX {
            return Err(damaged("it holds too many invitations"));
        }
        Ok(Self { file: file.to_owned(), open, wrong_guesses: 0 })
    }

    /// Invites one node to be this, once and within `valid_for`. The invitation is on the disk when this returns.
    /// `address` is where this node, `inviter`, can be reached: `host:port`.
    pub fn invite(
        &mut self,
        role: Role,
        valid_for: Duration,
        now: Duration,
        inviter: NodeId,
        address: &str,
    ) -> Result<Invitation, TrustError> {
        if valid_for.is_zero() || valid_for > INVITATION_SPAN_MAX {
            return Err(TrustError::InvitationSpan { asked: valid_for });
        }
        self.open.retain(|open| now < open.expires);
        if self.open.len() >= INVITATIONS_MAX {
            return Err(TrustError::TooManyInvitations);
        }
        let invitation = Invitation::new(inviter, random_secret()?, address)?;
        self.open.push(Open { hash: hash(invitation.secret()), role, expires: now + valid_for });
        if let Err(error) = self.keep(now) {
            self.open.pop();
            return Err(error);
        }
        Ok(invitation)
    }

    /// Whether the holder of this secret is invited to be this. Each opens once: it is gone from the disk before this
    /// returns. A wrong secret is counted and takes nothing from the others; another role than the invited one leaves
    /// the invitation open, for who corrects it.
    pub fn accept(&mut self, secret: &Secret, asked: Role, now: Duration) -> Result<(), TrustError> {
        let hash = hash(secret);
        // Hashes compare in constant time, and all are compared: how long it takes tells nothing of any.
        let found = self
            .open
            .iter()
            .enumerate()
            .fold(None, |found, (at, open)| if open.hash == hash { Some(at) } else { found });
        let Some(at) = found else {
            self.wrong_guesses = self.wrong_guesses.saturating_add(1);
            return Err(TrustError::NotInvited);
        };
        let invited = self.open[at].role;
        if invited != asked && now < self.open[at].expires {
            return Err(TrustError::InvitedOtherwise { invited, asked });
        }
        let open = self.open.remove(at);
        if open.expires <= now {
            return Err(TrustError::InvitationExpired);
        }
        if let Err(error) = self.keep(now) {
            // Nobody was admitted by it, so it may be used when the disk can be written again.
            self.open.push(open);
            return Err(error);
        }
        Ok(())
    }

    /// Writes how much time each has left. To be done once a minute and before the node stops.
    pub fn keep(&self, now: Duration) -> Result<(), TrustError> {
        let left = |open: &Open| u64::try_from(open.expires.saturating_sub(now).as_millis()).unwrap_or(u64::MAX);
        let open = self.open.iter().filter(|open| now < open.expires);
        let kept = open.map(|it| Kept { hash: it.hash.to_hex().to_string(), role: it.role, remaining_ms: left(it) });
        kept::write(&self.file, &kept.collect::<Vec<_>>())
    }

    /// How many have not been used and are not over.
    pub fn count(&self, now: Duration) -> usize {
        self.open.iter().filter(|open| now < open.expires).count()
    }

    /// How often somebody showed a secret behind which there was nothing, since the node started.
    pub fn wrong_guesses(&self) -> u64 {
        self.wrong_guesses
    }
}

fn hash(secret: &Secret) -> blake3::Hash {
    blake3::hash(secret.as_bytes())
}

fn random_secret() -> Result<Secret, TrustError> {
    let mut bytes = [0; 16];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| TrustError::NoRandomness)?;
    Ok(Secret(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const START: Duration = Duration::from_secs(5);

    struct Node {
        folder: tempfile::TempDir,
        invitations: Invitations,
    }

    impl Node {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let invitations = Invitations::open(&folder.path().join("invitations.json"), START).unwrap();
            Self { folder, invitations }
        }

        fn file(&self) -> PathBuf {
            self.folder.path().join("invitations.json")
        }

        fn invite(&mut self, role: Role, valid_for: Duration, now: Duration) -> Result<Secret, TrustError> {
            let invited = self.invitations.invite(role, valid_for, now, [1; 32].into(), "edge:1");
            invited.map(|invitation| invitation.secret().clone())
        }

        /// Stops at once and comes back, with a clock that begins anew.
        fn restart(&mut self) {
            self.invitations = Invitations::open(&self.file(), Duration::ZERO).unwrap();
        }
    }

    #[test]
    fn an_invitation_opens_once() {
        let mut node = Node::new();
        let [edge, device] = [Role::Edge, Role::Device].map(|role| node.invite(role, MINUTE, START).unwrap());
        assert_ne!(edge, device);
        node.invitations.accept(&edge, Role::Edge, START).unwrap();
        assert!(matches!(node.invitations.accept(&edge, Role::Edge, START), Err(TrustError::NotInvited)));
        node.restart();
        assert!(matches!(node.invitations.accept(&edge, Role::Edge, Duration::ZERO), Err(TrustError::NotInvited)));
        node.invitations.accept(&device, Role::Device, Duration::ZERO).unwrap();
    }

    #[test]
    fn wrong_guesses_are_counted_and_cost_nothing() {
        let mut node = Node::new();
        let secret = node.invite(Role::Edge, MINUTE, START).unwrap();
        for guess in 0..1000u128 {
            let refused = node.invitations.accept(&Secret(guess.to_le_bytes()), Role::Edge, START);
            assert!(matches!(refused, Err(TrustError::NotInvited)));
        }
        assert_eq!((node.invitations.wrong_guesses(), node.invitations.count(START)), (1000, 1));
        node.invitations.accept(&secret, Role::Edge, START).unwrap();
    }

    #[test]
    fn who_asks_for_another_role_may_ask_again_for_the_right_one() {
        let mut node = Node::new();
        let secret = node.invite(Role::Edge, MINUTE, START).unwrap();
        for asked in [Role::Device, Role::Cloud, Role::Operator] {
            let refused = node.invitations.accept(&secret, asked, START).unwrap_err();
            assert!(matches!(refused, TrustError::InvitedOtherwise { invited: Role::Edge, .. }), "{refused}");
        }
        assert_eq!((node.invitations.wrong_guesses(), node.invitations.count(START)), (0, 1));
        node.invitations.accept(&secret, Role::Edge, START).unwrap();
        let over = node.invitations.accept(&secret, Role::Device, START);
        assert!(matches!(over, Err(TrustError::NotInvited)));
    }

    #[test]
    fn an_invitation_expires_at_its_time() {
        let mut node = Node::new();
        let moment = Duration::from_nanos(1);
        let [last, late] = [(); 2].map(|()| node.invite(Role::Edge, MINUTE, START).unwrap());
        node.invitations.accept(&last, Role::Edge, START + MINUTE - moment).unwrap();
        assert!(matches!(
            node.invitations.accept(&late, Role::Edge, START + MINUTE),
            Err(TrustError::InvitationExpired)
        ));
        assert!(
            matches!(node.invitations.accept(&late, Role::Edge, START), Err(TrustError::NotInvited)),
            "it came back"
        );
        for span in [Duration::ZERO, INVITATION_SPAN_MAX + moment] {
            assert!(matches!(node.invite(Role::Edge, span, START), Err(TrustError::InvitationSpan { .. })));
        }
    }

    #[test]
    fn a_restart_does_not_prolong_it() {
        let mut node = Node::new();
        let secret = node.invite(Role::Edge, MINUTE, START).unwrap();
        for _ in 0..5 {
            node.invitations.keep(MINUTE / 6).unwrap();
            node.restart();
        }
        let left = MINUTE + START - MINUTE / 6 * 5;
        assert_eq!(node.invitations.count(left - Duration::from_millis(1)), 1);
        assert_eq!(node.invitations.count(left), 0);
        assert!(matches!(node.invitations.accept(&secret, Role::Edge, left), Err(TrustError::InvitationExpired)));
    }

    #[test]
    fn no_more_are_open_than_the_bound_and_expired_ones_make_room() {
        let mut node = Node::new();
        let open =
            (0..INVITATIONS_MAX).map(|_| Open { hash: blake3::hash(b""), role: Role::Edge, expires: START + MINUTE });
        node.invitations.open = open.collect();
        assert!(matches!(node.invite(Role::Edge, MINUTE, START), Err(TrustError::TooManyInvitations)));
        node.invite(Role::Edge, MINUTE, START + MINUTE).unwrap();
        assert_eq!(node.invitations.count(START + MINUTE), 1);
    }

    #[test]
    fn where_nothing_can_be_written_nobody_is_let_in() {
        let mut node = Node::new();
        let secret = node.invite(Role::Edge, MINUTE, START).unwrap();
        let gone = node.folder.path().join("gone");
        let file = std::mem::replace(&mut node.invitations.file, gone.join("invitations.json"));
        assert!(matches!(node.invitations.accept(&secret, Role::Edge, START), Err(TrustError::Unwritable { .. })));
        assert!(matches!(node.invite(Role::Edge, MINUTE, START), Err(TrustError::Unwritable { .. })));
        node.invitations.file = file;
        assert_eq!(node.invitations.count(START), 1);
        node.invitations.accept(&secret, Role::Edge, START).unwrap();
    }

    #[test]
    fn a_damaged_file_is_refused_and_holds_no_secret() {
        let mut node = Node::new();
        let secret = node.invite(Role::Edge, MINUTE, START).unwrap();
        let file = node.file();
        let text = fs::read_to_string(&file).unwrap();
        assert!(!text.contains(&data_encoding::HEXLOWER.encode(secret.as_bytes())));
        let longer = text.replace("60000", "700000000000");
        for damaged in [
            "",
            "[",
            "{}",
            &text[..text.len() / 2],
            &text.replace("edge", "king"),
            &longer,
            &text.replacen("\": \"", "\": \"x", 1),
        ] {
            fs::write(&file, damaged).unwrap();
            let error = Invitations::open(&file, START).unwrap_err();
            assert!(matches!(&error, TrustError::Damaged { .. }), "{damaged}: {error}");
        }
    }
}
