//! Every ceiling of the core, with its unit and its reason. Relations between them are checked when compiling.

/// Bytes of a `correlationId` or `endpointId` in a get. Both are echoed in every answer, so a longer one
/// would let a small request make a large answer and fill the unknown-endpoint marks.
pub const MAX_ID_LEN: usize = 4096;

/// Bytes of an application, application version or endpoint token: all three are indexed.
pub const MAX_NAME_LEN: usize = 1024;

/// Bytes of events in one outbox; with the metadata they must stay below MongoDB's 16 MiB a document.
pub const MAX_OUTBOX_BYTES: usize = 4 * 1024 * 1024;

/// Units of work (about a byte read or written) for one endpoint in one plan, after which its further commands come
/// next time: some milliseconds.
pub const ENDPOINT_WORK: u64 = 4 * 1024 * 1024;

/// Units of work that a command costs whatever it is.
pub const REQUEST_WORK: u64 = 64;

/// Operations of one JSON Patch.
pub const MAX_PATCH_OPERATIONS: usize = 10_000;

/// Units of work of one JSON Patch: elements read and written, copies, moved array elements, steps along pointers. The
/// most that a patch takes: some 5 ms here, and 100 ms in the pure planner, which has the same bound.
pub const MAX_PATCH_WORK: u64 = 1024 * 1024;

/// Endpoints of one request for application versions, repeated ones counted each time. Each may take a place in
/// the cache's index, a load and 4 KiB of the answer.
pub const MAX_ENDPOINT_IDS: usize = 1000;

/// Bytes of one NATS control line, CR LF included. nats-server itself allows 4 KiB by default and at most
/// 64 KiB is configured anywhere; a line that never ends must not grow memory.
pub const MAX_CONTROL_LINE: usize = 64 * 1024;

/// Bytes of a reply subject. Those of client libraries have some 50, and a replica ID may have 255; what we write in
/// front of an answer stays far below the 4 KiB of a control line that every server takes.
pub const MAX_REPLY_LEN: usize = 1024;

/// Bytes of one NATS message, headers included: the most that nats-server's `max_payload` can be set to.
pub const MAX_PAYLOAD: usize = 64 * 1024 * 1024;

/// Bytes of answers after which a feed pauses and hands what it has to the connection, so that one chunk full
/// of small requests for large metadata cannot build gigabytes before the first byte is written.
pub const FEED_OUTPUT_LIMIT: usize = 1024 * 1024;

/// Levels of a stored document: the document is the first, every document, array or code scope inside one is
/// one more. MongoDB refuses more than about 100 from clients, so what is deeper was not written by one;
/// converting recurses, and this bounds the stack.
pub const MAX_DEPTH: u32 = 200;

/// Arrays and objects of a new value that are open at a time, for its event to be applied to a cached entry (rule 12).
/// What is deeper is loaded, and MongoDB refuses about as much.
pub const MAX_EVENT_DEPTH: u32 = 100;

/// Arrays and objects of a metadata value that are open at a time: MongoDB takes 100 levels from clients, and the
/// document, the array of metadata and its item are around a value.
pub const MAX_VALUE_DEPTH: u32 = 97;

/// Numbers of one JSON text whose first 19 digits do not tell which double is nearest. Finding out takes up to 40 µs
/// each (measured: 300 digits at the end of the range), where others take 50 ns; of numbers that nobody made for that,
/// one in a thousand is one, and only of those with more than 19 digits.
pub const MAX_HARD_NUMBERS: usize = 128;

/// Bytes of one stored BSON document. MongoDB's own ceiling is 16 MiB; nothing larger comes from a store.
pub const MAX_DOCUMENT: usize = 64 * 1024 * 1024;

/// The most bytes of JSON that one byte of BSON can become: an array element of type "min key" takes at least
/// two bytes and prints as `{"$minKey":1},`.
pub const MAX_JSON_GROWTH: usize = 7;

/// Product of stored fields and included names, or an event's keys, up to which they are compared one by one; beyond
/// it names or fields are hashed once. 16 names against 64 fields cost about as much either way.
pub const PROJECT_SCAN_LIMIT: usize = 1024;

/// Subscriptions whose messages the core takes: one per message kind, with room for a second repository name.
pub const MAX_ROUTES: usize = 16;

/// Bytes of a NATS header's value that is looked up; a `traceparent` has 55.
pub const MAX_HEADER_VALUE: usize = 256;

/// Bytes of capacity the scanner keeps between split frames: most requests are far smaller.
pub const CARRY_KEEP: usize = 64 * 1024;

/// Bytes of capacity the output keeps between chunks: a full chunk of small answers.
pub const OUTPUT_KEEP: usize = 2 * FEED_OUTPUT_LIMIT;

/// Endpoints that settle after foreign events (coherence rule 7); beyond it all endpoints settle.
pub const MAX_SETTLING: usize = 65_536;

/// Writers of numbered events (rule 5): each register process is one, and each of its restarts. Beyond it nothing
/// is served from the cache, since a writer that is not tracked could lose events unnoticed.
pub const MAX_WRITERS: usize = 1024;

/// Bytes of a writer's ID; ours have 24.
pub const MAX_WRITER_ID: usize = 64;

/// Floors of versions (rule 6), about 130 bytes each: the endpoints changed in the last 60 s at 2,000 changes a
/// second. Beyond it the oldest gives way.
pub const MAX_FLOORS: usize = 131_072;

/// How long a floor is needed at least, in milliseconds: a primary that lost its majority steps down after 10 s
/// (`electionTimeoutMillis`), and a driver looks for a new one within another 10 s. Thrice that.
pub const FLOOR_LEAST_AGE_MS: u64 = 60_000;

/// How often a load that returned less than its floor is repeated before its gets are answered 503.
pub const MAX_RELOADS: u8 = 3;

/// Entries that one call of the scrubber may ask for.
pub const MAX_SAMPLE: usize = 1024;

/// Correlation ids of requests that met a bug, kept for the log until the shell takes them.
pub const MAX_BUGS: usize = 16;

/// Bytes of a filter's query as BSON. The longest that people write are lists of some thousand values.
pub const MAX_FILTER_BYTES: usize = 256 * 1024;

/// Documents and lists in each other in a filter's query. Evaluation and comparison go as deep on the stack, a few
/// hundred bytes a level; mongod allows 100.
pub const MAX_FILTER_DEPTH: usize = 50;

/// Conditions of one filter, each of which may look through the whole document.
pub const MAX_FILTER_CONDITIONS: usize = 1000;

/// Elements of one list in a filter.
pub const MAX_FILTER_LIST: usize = 10_000;

/// Names in one path of a filter.
pub const MAX_FILTER_PATH: usize = 50;

/// Numbers in one path of a filter, those of the `$elemMatch`es around it included. A number is read in two ways, so
/// each doubles the time that a document may take.
pub const MAX_FILTER_NUMBERS: usize = 4;

/// Bytes of one regular expression in a filter.
pub const MAX_FILTER_PATTERN: usize = 1024;

/// Bytes of the table that a regular expression is compiled to, and of what compiling it takes.
pub const MAX_FILTER_PATTERN_SIZE: usize = 1024 * 1024;

const _: () = assert!(MAX_ID_LEN < MAX_CONTROL_LINE);
const _: () = assert!(4 * MAX_REPLY_LEN <= 4096);
const _: () = assert!(MAX_WRITER_ID <= MAX_HEADER_VALUE);
const _: () = assert!(MAX_CONTROL_LINE < FEED_OUTPUT_LIMIT);
const _: () = assert!(FEED_OUTPUT_LIMIT < MAX_PAYLOAD);
// Entries keep offsets into the JSON as u32.
const _: () = assert!(MAX_DOCUMENT * MAX_JSON_GROWTH <= u32::MAX as usize);
const _: () = assert!(MAX_CONTROL_LINE <= CARRY_KEEP);
const _: () = assert!(MAX_VALUE_DEPTH < MAX_EVENT_DEPTH);
const _: () = assert!(MAX_PATCH_WORK < ENDPOINT_WORK);
// What is stored is printed.
const _: () = assert!(MAX_VALUE_DEPTH + 3 <= MAX_DEPTH);
// Depths are counted in u32 elsewhere, and what filters read was written by MongoDB's clients.
const _: () = assert!(MAX_FILTER_DEPTH < MAX_DEPTH as usize);
const _: () = assert!(MAX_FILTER_PATTERN < MAX_FILTER_BYTES);
// One bit for each.
const _: () = assert!(MAX_EVENT_DEPTH < u128::BITS);
