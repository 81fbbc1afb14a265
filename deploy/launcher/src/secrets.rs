//! 生成新的机密，写成设置文件的行。
//!
//! Owns how new secrets look: tokens of 24 and keys of 32 bytes of the kernel's randomness. Keeps none of them and
//! writes no file; who redirects the output decides where they live and who may read them.

use std::fs::File;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

/// Prints one line for each secret.
pub(crate) fn print() -> Result<(), String> {
    let mut source =
        File::open("/dev/urandom").map_err(|error| format!("/dev/urandom: {error}"))?;
    print!(
        "{}",
        lines(&mut source).map_err(|error| format!("/dev/urandom: {error}"))?
    );
    Ok(())
}

fn lines(source: &mut impl Read) -> std::io::Result<String> {
    let mut token = || -> std::io::Result<String> {
        let mut bytes = [0; 24];
        source.read_exact(&mut bytes)?;
        Ok(URL_SAFE_NO_PAD.encode(bytes))
    };
    let (admin, viewer) = (token()?, token()?);
    let mut bytes = [0; 32];
    source.read_exact(&mut bytes)?;
    let key = STANDARD.encode(bytes);
    Ok(format!(
        "ADMIN_TOKEN={admin}\nVIEWER_TOKEN={viewer}\nENCRYPTION_KEY={key}\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ_and_are_of_the_form_that_the_gateway_takes() {
        let bytes: Vec<u8> = (0..80).collect();
        let text = lines(&mut &bytes[..]).unwrap();
        let values: Vec<_> = text
            .lines()
            .map(|line| line.split_once('=').unwrap())
            .collect();
        assert_eq!(values.len(), 3);
        assert_ne!(values[0].1, values[1].1);
        assert_eq!(values[0].1.len(), 32);
        assert_eq!(values[2].0, "ENCRYPTION_KEY");
        assert_eq!(STANDARD.decode(values[2].1).unwrap().len(), 32);
    }

    #[test]
    fn too_little_randomness_is_an_error_and_gives_no_secret() {
        assert!(lines(&mut &[0_u8; 79][..]).is_err());
    }
}
