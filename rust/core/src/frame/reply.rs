//! The verdict on a request's reply subject: who may only ask must not get us to publish what only others may.
//!
//! Clients choose their reply subjects freely (`_INBOX.…`, prefixes of their own, `kaa.v1.replica.…`), and servers
//! rewrite them between accounts (`_R_.…`), so no list of what is allowed would be complete. Refused is what somebody
//! listens to for something else than answers, and what is no subject at all. The twin is `kaa_epr/reply.py`.

use crate::limits::MAX_REPLY_LEN;

/// Subjects of Kaa: events, requests, heartbeats; and [`REPLICAS`].
const KAA: &[u8] = b"kaa.";
/// Where the replicas of Kaa's services take answers (3/ISM, session affinity).
const REPLICAS: &[u8] = b"kaa.v1.replica.";
/// What a server puts, with two tokens more, before the reply subject of a request out of another cluster. It takes
/// all of that off again when the answer comes by.
const GATEWAY: &[u8] = b"_GR_.";
const TOKENS_OF_GATEWAY: usize = 2;

/// Whether an answer may go there.
///
/// Not to what is longer than [`MAX_REPLY_LEN`], not UTF-8, or has an empty token, a wildcard, white space or a
/// control character; nor to subjects of servers (`$…`) or of Kaa, but for those of replicas.
#[inline]
#[must_use]
pub fn may_answer_to(reply: &[u8]) -> bool {
    is_subject(reply) && !is_reserved(reply)
}

#[inline]
fn is_subject(reply: &[u8]) -> bool {
    if reply.len() > MAX_REPLY_LEN {
        return false;
    }
    let mut before = b'.';
    let mut sound = true;
    for &byte in reply {
        sound &= match byte {
            b'.' => before != b'.',
            ..=b' ' | b'*' | b'>' | 0x7f => false,
            _ => true,
        };
        before = byte;
    }
    sound && before != b'.' && (reply.is_ascii() || std::str::from_utf8(reply).is_ok())
}

/// Whether somebody listens there for something else than answers. `reply` is a subject.
#[inline]
fn is_reserved(reply: &[u8]) -> bool {
    match reply.first() {
        Some(b'$') => true,
        Some(b'k') => reply.starts_with(KAA) && !reply.starts_with(REPLICAS),
        Some(b'_') => reply
            .strip_prefix(GATEWAY)
            .is_some_and(behind_gateway_is_reserved),
        _ => false,
    }
}

#[cold]
fn behind_gateway_is_reserved(mut reply: &[u8]) -> bool {
    loop {
        let Some(original) = reply
            .splitn(TOKENS_OF_GATEWAY + 1, |byte| *byte == b'.')
            .nth(TOKENS_OF_GATEWAY)
        else {
            return true;
        };
        match original.strip_prefix(GATEWAY) {
            Some(nested) => reply = nested,
            None => return is_reserved(original),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_go_to_what_clients_choose() {
        for reply in [
            "_INBOX.eXkVDMtBgXeVTFkrdyM9Tk.eXkVDMtBgXeVTFkrdyMAEo",
            "_INBOX_billing.x",
            "billing.answers.1",
            "kaa.v1.replica.cmx-7.epmmp.ep-metadata-get-response",
            "kaa",
            "kaapi.v1.events.x",
            "_R_.VQ2wWv.7Gnd0k",
            "_GR_.5yK1Xz.8aBcDe._INBOX.x.1",
            "_GR_.5yK1Xz.8aBcDe.kaa.v1.replica.r.epmmp.ep-metadata-get-response",
            "réponse.é",
            "a$b.$SYS",
        ] {
            assert!(may_answer_to(reply.as_bytes()), "{reply}");
        }
        assert!(may_answer_to(&[b'x'; MAX_REPLY_LEN]));
    }

    #[test]
    fn answers_go_nowhere_else() {
        for reply in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a.*",
            "a.>",
            "a*",
            "a b",
            "a\tb",
            "a\u{7f}",
            "a\0",
            "$SYS.REQ.SERVER.PING",
            "$JS.ACK.s.c.1.1.1.1.0",
            "$SRV.PING",
            "$",
            "kaa.v1.events.epr.endpoint.metadata.updated",
            "kaa.v1.service.epr.epmmp.ep-metadata-get-request",
            "kaa.v1.coherence.epr.heartbeat",
            "kaa.v1.replica",
            "kaa.v2.events.epr",
            "_GR_.c.s.$SYS.REQ",
            "_GR_.c.s.kaa.v1.events.epr.endpoint.metadata.updated",
            "_GR_.c.s._GR_.c.s.kaa.v1.events.epr",
            "_GR_.c.s",
            "_GR_.c",
        ] {
            assert!(!may_answer_to(reply.as_bytes()), "{reply}");
        }
        assert!(!may_answer_to(b"a\xff"));
        assert!(!may_answer_to(&[b'x'; MAX_REPLY_LEN + 1]));
    }
}
