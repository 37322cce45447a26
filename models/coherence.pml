/* The cache, the channel and the store of the coherence rules, for one endpoint, one register and one responder.
 *
 * The register commits a version and publishes it under the next number; the channel may lose messages, and a lost
 * connection loses all of them; the store may be behind by one version for a while: an old primary, or a foreign
 * writer that did not wait for the majority. The responder caches, shares loads, applies events to
 * what is cached, and keeps rules 2 to 7, 9 and 12.
 *
 * `make model` checks that no get is answered with less than the responder must know of when the get comes. Then it
 * breaks one rule at a time (-DBREAK=...) and demands a counter-example for each: see models/check.
 */

#define NONE     0
#define LEASES   2  /* rule 2: an event voids the load that runs */
#define GAPS     3  /* rule 3: a new connection empties the cache and voids the load */
#define EARS     4  /* rule 4: without ears nothing is served from the cache */
#define NUMBERS  5  /* rule 5: a hole flushes */
#define SILENCE  6  /* rule 5: silence flushes */
#define FLOORS   7  /* rule 6: the store may not return less than an event told of */
#define SETTLE   8  /* rule 7: loads right after a foreign event are not cached */
#define AGE      9  /* rule 9: no entry is served beyond its age */

#define BASES   10  /* rule 12: an event is applied to an entry of the version that it changed, and to no other */

#ifndef BREAK
#define BREAK NONE
#endif
#ifndef FOREIGN
#define FOREIGN 0   /* 1: events have no headers, so neither numbers nor floors help */
#endif
#define KEEPS(rule) (BREAK != rule)

#define WRITES    3  /* versions 1 .. WRITES; the number of an event is its version */
#define EMPTY    15  /* no entry, no load */
#define QUIET     2  /* ticks without a sign of life after which the register is silent */
#define MOST_AGE  4  /* ticks that an entry lives */
#define SETTLES   2  /* ticks that an endpoint settles after a foreign event */
#define BOUND    (FOREIGN -> MOST_AGE : QUIET + 1)  /* ticks after which a lost event must not matter any more */

#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define MIN(a, b) ((a) < (b) -> (a) : (b))

byte store = 0;
bool behind = false;       /* reads come from an old primary, which has this version for good: */
byte old = 0;
byte published = 0;
chan events = [WRITES] of { byte };

/* the responder */
bool connected = true, ears = true, sound = true;
byte cache = EMPTY, age = 0;
bool torn = false;         /* what is cached is not what its version is made of */
byte load = EMPTY;         /* what the running load has read */
bool voided = false;         /* it is neither cached nor joined */
byte heard = 0;            /* number of the last event heard of */
byte quiet = 0;            /* ticks since the register was heard */
byte floor = 0;            /* rule 6 */
byte settling = 0;         /* rule 7: ticks left */

/* the model that judges */
byte told = 0;             /* what events told of: nothing less is answered, whatever the store says */
byte due = 0;              /* what must have been noticed by now: nothing less is answered if the store has it */
byte lost = 0, ticks_lost = 0;
byte least = 0;            /* what the gets that wait for the load must be answered with */
bool excused = false;      /* the load may bring what is old: its endpoint settles */
byte version, needed;

#define WHAT_IS_READ (behind -> old : store)

inline flush() { cache = EMPTY; torn = false; voided = (load != EMPTY) }

/* A number shows that this many events were published before its message, and which the last one is. */
inline number(before, last) {
    if
    :: before > heard && KEEPS(NUMBERS) -> flush(); sound = false
    :: else -> sound = (before <= heard || sound)
    fi;
    due = MAX(due, last);
    heard = last;
    quiet = 0;
    if :: lost <= last -> lost = 0; ticks_lost = 0 :: else fi
}

inline lose_all() {
    do :: nempty(events) -> events ? version :: empty(events) -> break od;
    lost = 0; ticks_lost = 0
}

/* The event of this version changed the one before; it may also be one that is not exact. */
inline apply() {
    if
    :: cache != EMPTY && !FOREIGN && ears && sound && age < MOST_AGE && (cache == version - 1 || !KEEPS(BASES)) ->
        torn = (torn || cache != version - 1); cache = version
    :: cache = EMPTY; torn = false
    fi
}

inline event() {
    events ? version;
    if
    :: FOREIGN -> settling = SETTLES; due = MAX(due, version)
    :: else -> number(version - 1, version); floor = MAX(floor, version); told = MAX(told, version)
    fi;
    apply();
    if :: KEEPS(LEASES) -> voided = (load != EMPTY) :: else fi
}

inline tick() {
    if :: quiet < QUIET -> quiet++ :: else fi;
    if :: age < MOST_AGE -> age++ :: else fi;
    if
    :: settling > 0 -> settling--; if :: settling == 0 -> behind = false; old = 0 :: else fi
    :: else
    fi;
    if
    :: !FOREIGN && ears && quiet == QUIET && sound && KEEPS(SILENCE) -> flush(); sound = false
    :: else
    fi;
    if
    :: lost > 0 && ticks_lost + 1 == BOUND -> due = MAX(due, lost); lost = 0; ticks_lost = 0
    :: lost > 0 && ticks_lost + 1 < BOUND -> ticks_lost++
    :: else
    fi
}

inline get() {
    needed = (ears && sound -> due : store);
    needed = MAX(told, (behind -> MIN(needed, WHAT_IS_READ) : needed));
    if
    :: cache != EMPTY && (ears || !KEEPS(EARS)) && sound && (age < MOST_AGE || !KEEPS(AGE)) ->
        assert(cache >= needed && !torn)
    :: else ->
        if
        :: load != EMPTY && !voided && ears && sound -> least = MAX(least, needed)
        :: load == EMPTY ->
            load = WHAT_IS_READ;
            least = needed;
            excused = FOREIGN && settling > 0;
            voided = (!ears && KEEPS(EARS)) || !sound || (settling > 0 && KEEPS(SETTLE))
        :: else /* it waits for a load of its own; a get that comes later stands for it */
        fi
    fi
}

inline land() {
    if
    :: load < floor && KEEPS(FLOORS) /* 503 */
    :: else ->
        assert(load >= least || excused);
        if :: !voided -> cache = load; torn = false; age = 0 :: else fi
    fi;
    load = EMPTY; voided = false; least = 0; excused = false
}

active proctype World() {
    do
    /* the register */
    :: atomic { store < WRITES && published == store ->
        store++; published = store;
        if :: connected -> events ! store :: else fi }

    /* the channel: an event arrives, or is lost; a heartbeat arrives behind what was not lost */
    :: atomic { ears && nempty(events) -> event() }
    :: atomic { ears && nempty(events) && lost == 0 -> events ? lost }
    :: atomic { ears && empty(events) && !FOREIGN -> number(published, published) }

    /* half a second: the store's time limit keeps loads from taking longer */
    :: atomic { load == EMPTY -> tick() }

    /* the connection is lost, made, and its subscriptions are confirmed */
    :: atomic { connected ->
        connected = false; ears = false; lose_all();
        if :: KEEPS(GAPS) -> flush() :: else fi }
    :: atomic { !connected -> connected = true }
    :: atomic { connected && !ears ->
        ears = true; lose_all();
        if :: KEEPS(GAPS) -> flush() :: else fi;
        heard = published; sound = true; quiet = 0; due = store }

    /* the store falls behind and catches up; the driver tells of a new primary */
    :: atomic { !behind && store > 0 && (!FOREIGN || settling > 0) ->
        behind = true; old = store - 1 }
    :: atomic { behind -> behind = false; old = 0; if :: !FOREIGN -> flush() :: else fi }

    /* gets and loads */
    :: atomic { connected -> get() }
    :: atomic { load != EMPTY -> land() }
    od
}
