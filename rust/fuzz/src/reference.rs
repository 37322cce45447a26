//! Naive decoders, written for nothing but being obviously right.

use kaa_epr_core::error::Cause;

/// A get as the reference reads it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Get {
    /// correlationId, as far as it decoded.
    pub correlation_id: String,
    /// timestamp and timeout.
    pub times: [i64; 2],
    /// endpointId, as far as it decoded.
    pub endpoint_id: String,
    /// The names in `include`.
    pub include: Vec<String>,
    /// includeMetadata, if it is there.
    pub flag: Option<bool>,
}

/// A metadata keys get or a request for application versions, as the reference reads it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// correlationId, as far as it decoded.
    pub correlation_id: String,
    /// timestamp and timeout.
    pub times: [i64; 2],
    /// endpointId, as far as it decoded, or endpointIds.
    pub endpoint_ids: Vec<String>,
}

/// Takes items off the front of a vector, byte by byte.
pub struct Bytes(pub std::collections::VecDeque<u8>);

impl Bytes {
    /// All of `data`.
    #[must_use]
    pub fn new(data: &[u8]) -> Self {
        Self(data.iter().copied().collect())
    }

    /// A varint, unlimited while it is read, judged afterwards.
    ///
    /// # Errors
    /// [`Cause::Truncated`] or [`Cause::Varint`].
    pub fn long(&mut self) -> Result<i64, Cause> {
        let mut groups = Vec::new();
        loop {
            // Ten bytes that all say "more" are too many, whether or not there is more.
            if groups.len() == 10 {
                return Err(Cause::Varint);
            }
            let byte = self.0.pop_front().ok_or(Cause::Truncated)?;
            groups.push(byte & 0x7F);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let raw = groups
            .iter()
            .rev()
            .fold(0_u128, |raw, &group| raw * 128 + u128::from(group));
        let raw = u64::try_from(raw).map_err(|_| Cause::Varint)?;
        Ok(if raw % 2 == 0 {
            (raw / 2) as i64
        } else {
            -((raw / 2) as i64) - 1
        })
    }

    /// A string.
    ///
    /// # Errors
    /// As [`Bytes::long`]; [`Cause::NegativeLength`], [`Cause::Truncated`], [`Cause::Utf8`].
    pub fn string(&mut self) -> Result<String, Cause> {
        let length = self.long()?;
        if length < 0 {
            return Err(Cause::NegativeLength);
        }
        if length as u64 > self.0.len() as u64 {
            return Err(Cause::Truncated);
        }
        String::from_utf8(self.0.drain(..length as usize).collect()).map_err(|_| Cause::Utf8)
    }

    /// An array of strings.
    ///
    /// # Errors
    /// As [`Bytes::string`]; [`Cause::BlockCount`].
    pub fn strings(&mut self) -> Result<Vec<String>, Cause> {
        let mut strings = Vec::new();
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(strings);
            }
            if count == i64::MIN {
                return Err(Cause::BlockCount);
            }
            if count < 0 {
                self.long()?;
            }
            if count.unsigned_abs() > self.0.len() as u64 {
                return Err(Cause::BlockCount);
            }
            for _ in 0..count.unsigned_abs() {
                strings.push(self.string()?);
            }
        }
    }
}

/// Decodes a get into `get` by the table in `ARCHITECTURE.md`.
///
/// # Errors
/// The table's cause; `get` then holds what decoded before, too long or not.
pub fn decode_get(data: &[u8], get: &mut Get) -> Result<(), Cause> {
    let mut bytes = Bytes::new(data);
    get.correlation_id = bytes.string()?;
    get.times = [bytes.long()?, bytes.long()?];
    get.endpoint_id = bytes.string()?;
    get.include = bytes.strings()?;
    get.flag = match Vec::from(bytes.0)[..] {
        [] => None,
        [0] => Some(false),
        [1] => Some(true),
        _ => return Err(Cause::Trailing),
    };
    if get.correlation_id.len() > 4096 || get.endpoint_id.len() > 4096 {
        return Err(Cause::TooLong);
    }
    Ok(())
}

/// Decodes a metadata keys get (`one`) or a request for application versions into `read`, by the same table.
///
/// # Errors
/// As [`decode_get`].
pub fn decode_read(data: &[u8], one: bool, read: &mut Read) -> Result<(), Cause> {
    let mut bytes = Bytes::new(data);
    read.correlation_id = bytes.string()?;
    read.times = [bytes.long()?, bytes.long()?];
    read.endpoint_ids = if one {
        vec![bytes.string()?]
    } else {
        bytes.strings()?
    };
    if !bytes.0.is_empty() {
        return Err(Cause::Trailing);
    }
    if read.correlation_id.len() > 4096 {
        return Err(Cause::TooLong);
    }
    if read.endpoint_ids.len() > 1000 {
        return Err(Cause::TooMany);
    }
    match read.endpoint_ids.iter().any(|id| id.len() > 4096) {
        true => Err(Cause::TooLong),
        false => Ok(()),
    }
}
