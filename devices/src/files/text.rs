//! Refuses text that would keep the engine's parser busy: it calls itself for each bracket and sign, and tries most
//! of them twice.

/// Bytes of a graph. DenseNet-121, which has many layers, has under a megabyte.
const BYTES_MAX: usize = 16 << 20;
/// Brackets inside each other. What is written has five: the body, a call, a list, a pair, a sum.
const NESTED_MAX: usize = 12;
/// Signs one after another.
const SIGNS_MAX: usize = 2;

/// The text of a graph, when it is one that can be parsed in bearable time; otherwise what is wrong, in words.
pub(super) fn checked(bytes: &[u8]) -> Result<&str, String> {
    if bytes.len() > BYTES_MAX {
        return Err(format!("has {} bytes, but at most {BYTES_MAX} are allowed", bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|cause| format!("is no text: {cause}"))?;
    let (mut nested, mut signs) = (0_usize, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => nested += 1,
            b')' | b']' | b'}' => nested = nested.saturating_sub(1),
            _ => {}
        }
        signs = match byte {
            b'+' | b'-' | b'!' => signs + 1,
            b' ' | b'\t' | b'\n' | b'\r' => signs,
            _ => 0,
        };
        if nested > NESTED_MAX || signs > SIGNS_MAX {
            return Err(format!("is nested too deeply at byte {at}"));
        }
    }
    match text.find('#') {
        // A comment could hide brackets from the count above. None is ever written.
        Some(at) => Err(format!("has a comment at byte {at}")),
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_or_huge_is_refused() {
        assert_eq!(checked(b"a = f(b, [(1, -2)]);"), Ok("a = f(b, [(1, -2)]);"));
        assert_eq!(checked(&[b'('; 40]), Err("is nested too deeply at byte 12".to_owned()));
        assert_eq!(checked(b"a = - - -1;"), Err("is nested too deeply at byte 8".to_owned()));
        assert_eq!(checked(b"a = 1; # )))"), Err("has a comment at byte 7".to_owned()));
        assert!(checked(&[0xff, 0xfe]).is_err_and(|cause| cause.starts_with("is no text")));
        assert!(checked(&vec![b' '; BYTES_MAX + 1]).is_err_and(|cause| cause.contains("at most")));
    }
}
