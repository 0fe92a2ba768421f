/* The table of commands and their help; see command.h. The text of --help is the manual of the command line. */
#include "controlplane/cli/command.h"

#include <string.h>

#include "controlplane/cli/backup.h"
#include "controlplane/cli/changes.h"
#include "controlplane/cli/export.h"
#include "controlplane/cli/import.h"
#include "controlplane/cli/lookup.h"
#include "controlplane/cli/rejects.h"
#include "controlplane/cli/status.h"
#include "controlplane/cli/top.h"
#include "controlplane/cli/update.h"

#define OPTION_CODE \
    { \
        "code", BL_OPTION_CODE, "N", 0, "code of the 550, 606..649 (else the source's)", 1 \
    }
#define OPTION_REASON \
    { \
        "reason", BL_OPTION_REASON, "TEXT", 0, "for people, at most 200 bytes", 1 \
    }
#define OPTION_FOR \
    { \
        "for", BL_OPTION_FOR, "DURATION", 0, "ends by itself after 90s, 15m, 12h, 30d, 2w (else never)", 1 \
    }
#define OPTION_SOURCE \
    { \
        "source", BL_OPTION_SOURCE, "NAME", 0, "who says so (else the source of who asks)", 1 \
    }
#define OPTION_ACTION \
    { \
        "action", BL_OPTION_ACTION, "A", 0, "reject, reset, drop or monitor (else the source's)", 1 \
    }
#define OPTION_FORCE \
    { \
        "force", BL_OPTION_FORCE, NULL, 0, "go on where the change is held as too large a share of its source", 1 \
    }

static const struct argp_option list_options[] = {OPTION_CODE,   OPTION_REASON, OPTION_FOR, OPTION_SOURCE,
                                                  OPTION_ACTION, OPTION_FORCE,  {0}};
static const struct argp_option delist_options[] = {
    {"source", BL_OPTION_SOURCE, "NAME", 0, "that source drops its listing (else: whatever lists it now is suppressed)",
     1},
    OPTION_FORCE,
    {0}};
static const struct argp_option exempt_options[] = {OPTION_REASON, OPTION_FOR, {0}};
static const struct argp_option import_options[] = {
    {"format", BL_OPTION_IMPORT_FORMAT, "NAME", 0, "what the file is (else: found out from how it begins)", 1},
    {"replace", BL_OPTION_REPLACE, NULL, 0, "what --source lists and the file does not is removed", 1},
    {"dry-run", BL_OPTION_DRY_RUN, NULL, 0, "show what would change, and change nothing", 1},
    {"mask-host-bits", BL_OPTION_MASK, NULL, 0, "cut bits behind a prefix's length (else they make the line bad)", 1},
    {"allow-stale", BL_OPTION_STALE, NULL, 0, "also a file that says that it is out of date", 1},
    OPTION_CODE,
    OPTION_REASON,
    OPTION_FOR,
    OPTION_SOURCE,
    OPTION_ACTION,
    OPTION_FORCE,
    {0}};
static const struct argp_option rejects_options[] = {
    {"follow", BL_OPTION_FOLLOW, NULL, 0, "go on, and show rejects as they happen, until interrupted", 1},
    {"all", BL_OPTION_ALL, NULL, 0, "also what came before the end: SYN, greeting, commands, malformed segments", 1},
    {"since", BL_OPTION_SINCE, "DURATION", 0, "not older than 90s, 15m, 12h (else as old as they are kept)", 1},
    {"limit", BL_OPTION_LIMIT, "N", 0, "at most the last N, 1..10000 (else 100; with --follow 10, to begin with)", 1},
    {0}};
static const struct argp_option top_options[] = {
    {"listings", BL_OPTION_LISTINGS, NULL, 0, "the listings with most rejects (else the sources)", 1},
    {"limit", BL_OPTION_LIMIT, "N", 0, "at most N, 1..1024 (else 20)", 1},
    {0}};
static const struct argp_option watch_options[] = {
    {"from", BL_OPTION_FROM, "SERIAL", 0, "begin behind SERIAL, 0: with the first record (else: what comes now)", 1},
    {0}};
static const struct argp_option history_options[] = {
    {"limit", BL_OPTION_LIMIT, "N", 0, "at most the last N changes, 1..10000 (else 100)", 1}, {0}};
static const struct argp_option export_options[] = {
    {"source", BL_OPTION_SOURCE, "NAME", 0, "only the listings of NAME (else of all sources)", 1},
    {"format", BL_OPTION_FORMAT, "F", 0, "plain, json, nft or rbldnsd (else plain)", 1},
    {"output", BL_OPTION_OUTPUT, "FILE", 0, "into FILE, which is replaced when all of it is there (else on stdout)", 1},
    {0}};
static const struct argp_option status_options[] = {
    {"all", BL_OPTION_ALL, NULL, 0, "show the counters that are zero, too", 1}, {0}};

/* One text for the four updates: their answers are alike. */
#define UPDATE_HELP \
    "\vAll prefixes of one command are one batch: all of them or none. An IPv6 address without a length means its " \
    "/64 " \
    "(the control plane's ipv6_unit).\n" \
    "\n" \
    "--json prints one object: command, session, sequence, epoch (hex), serial (0: nothing was recorded), wait, " \
    "durable, " \
    "enforced, dataplanes_enforced, dataplanes_connected, n_applied, n_unchanged, n_removed, n_exempted, " \
    "n_not_listed, " \
    "n_refused, repeated_answer, elapsed_us, items (of prefix, outcome, refusal, detail) and exit_code. outcome is " \
    "applied, unchanged, removed, exempted, not_listed or refused; refusal is none, invalid, too_wide, never_listed, " \
    "role, source, operator_listing, self_service_closed, held_for_force, classes_exhausted, batch or quota. A " \
    "failure " \
    "prints error and exit_code.\n"

const struct bl_command bl_command_table[] = {
    {
        .name = "list",
        .summary = "list prefixes: their mail is rejected",
        .arguments = "PREFIX...",
        .help = "Lists each PREFIX, or renews what is listed." UPDATE_HELP,
        .options = list_options,
        .arguments_min = 1,
        .arguments_max = 1024,
        .takes_prefixes = true,
        .kind = BL_UPDATE_LIST,
        .past = "listed",
        .run = bl_update_run,
    },
    {
        .name = "delist",
        .summary = "delist prefixes, until newer evidence comes",
        .arguments = "PREFIX...",
        .help = "Delists each PREFIX: what lists it now no longer counts, its own listings and wider ones, until newer "
                "evidence comes. Exit code 1 also where nothing lists it." UPDATE_HELP,
        .options = delist_options,
        .arguments_min = 1,
        .arguments_max = 1024,
        .takes_prefixes = true,
        .kind = BL_UPDATE_DELIST,
        .past = "delisted",
        .run = bl_update_run,
    },
    {
        .name = "exempt",
        .summary = "exempt prefixes from every listing",
        .arguments = "PREFIX...",
        .help = "Exempts each PREFIX: it and all inside it is taken out of every listing." UPDATE_HELP,
        .options = exempt_options,
        .arguments_min = 1,
        .arguments_max = 1024,
        .takes_prefixes = true,
        .kind = BL_UPDATE_EXEMPT,
        .past = "exempted",
        .run = bl_update_run,
    },
    {
        .name = "unexempt",
        .summary = "take exemptions back",
        .arguments = "PREFIX...",
        .help = "Takes the exemption of each PREFIX back. Exit code 1 also where there is none." UPDATE_HELP,
        .arguments_min = 1,
        .arguments_max = 1024,
        .takes_prefixes = true,
        .kind = BL_UPDATE_UNEXEMPT,
        .past = "unexempted",
        .run = bl_update_run,
    },
    {
        .name = "lookup",
        .summary = "what is enforced, and every layer behind it",
        .arguments = "ADDRESS...",
        .help =
            "Shows for each ADDRESS (or prefix) what is enforced and every layer behind it, the strongest first: "
            "which one decides and which a delist suppresses. Like grep, exit code 1 says that one of them is not "
            "listed.\v"
            "--json prints one object: lookups (of prefix, listed, code, action, class_id, epoch (hex), serial, "
            "enforced_serial, dataplanes_enforced, dataplanes_connected and layers, each of kind, prefix, source, "
            "code, reason, observed_at_ms, expires_at_ms (0: never), self_service, action, actor, serial, effective, "
            "suppressed, n_hits, hits_error and last_hit_ms: a listing's rejects since the control plane started, by "
            "samples, as `top --listings` counts them, hits_error of which may be others') and exit_code. kind is "
            "exemption, operator_listing, listing or "
            "delist. A failure prints "
            "error and exit_code.\n",
        .arguments_min = 1,
        .arguments_max = 1024,
        .takes_prefixes = true,
        .run = bl_lookup_run,
    },
    {
        .name = "import",
        .summary = "list every prefix of a file",
        .arguments = "FILE|-",
        .help =
            "Lists every prefix of FILE, or of standard input, also out of gzip. Formats: plain (a prefix, an address "
            "or a range a-b a line; # and ; begin a comment), first-column, drop, drop-json, firehol, dshield, "
            "crowdsec-csv, crowdsec-json, ip4set, ip4trie, ip6trie, ipset, nft-json; all but first-column, ip4trie "
            "and a file of rbldnsd that begins with an address are found out from how it begins.\v"
            "What a file says about itself must be true: how many entries it has (drop-json, firehol), until when it "
            "is good (drop; drop-json is good for 7 days). What it excludes (! of rbldnsd, nomatch) is carved out of "
            "what it lists; what has a time (crowdsec, ipset, nft) is listed until then. Decisions on countries, "
            "captchas and what has ended are skipped and counted. A prefix that comes again is counted once.\n"
            "\n"
            "All or nothing: if one line is bad, the bad lines are named and nothing is sent; the whole file is one "
            "batch, and the control plane takes all of it or nothing. It travels as one message of at most 32 MiB, "
            "which holds about 8 million IPv4 addresses or 2 million IPv6 prefixes; a larger file is refused: split "
            "it. Prefixes that are not "
            "in the file stay as they are; with --replace those of --source are removed in the same batch, so that the "
            "source lists what the file says and only the difference is written. A difference that adds or removes "
            "more than controlplane.hold_percent of what the source covers is held for --force, its first import "
            "excepted. On a terminal a progress bar is drawn on stderr.\n"
            "\n"
            "Exit code 1 also for a file that can't be read, has bad lines or holds no prefix. The deadline is at "
            "least 60s unless --deadline says otherwise.\n"
            "\n"
            "--json prints what `list --json` prints, with file, format, n_lines, n_prefixes, n_duplicates, "
            "n_overlaps, "
            "n_excluded, n_masked and n_skipped, dry_run, and in items only "
            " what was refused (at most 100), each with its line. For bad lines it prints error, n_bad_lines, "
            "bad_lines (the first 20, of line and cause) and exit_code.\n",
        .options = import_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .run = bl_import_run,
    },
    {
        .name = "rejects",
        .summary = "what was rejected, when, by which listing",
        .arguments = "[ADDRESS]",
        .help =
            "Shows the last rejects, of ADDRESS (or prefix) or of all: when, from whom, for whom, what it met and at "
            "which stage, and which listing is behind it. Times are UTC. Exit code 1 says that there is none.\v"
            "Rejects are samples: up to dataplane.reject_samples_per_s a worker of each kind there is one for each "
            "event; above that \"one of N\" says how many of its kind a line stands for, and of who was not told of in "
            "the last 10 s one more is told by itself, within as many a second. The last "
            "controlplane.rejects_kept are kept in memory, until the control plane ends; all of them are in "
            "controlplane.rejects_file, where there is one.\n"
            "\n"
            "--follow survives a restart of the control plane, and ends with 0 when it is interrupted.\n"
            "\n"
            "--json prints one object: rejects (of id, time_ms, source, source_port, destination (empty: the packet "
            "was "
            "cut before it), destination_port, reason (a counter of `status`), denied_at (RCPT, MAIL, STARTTLS, other; "
            "empty: no 550), code, action, "
            "listing, listing_source (empty: no longer listed so), dataplane, worker, weight (events that it stands "
            "for) and class_id) and exit_code. With --follow it prints each reject as an object of its own line.\n",
        .options = rejects_options,
        .arguments_min = 0,
        .arguments_max = 1,
        .takes_prefixes = true,
        .run = bl_cli_rejects_run,
    },
    {
        .name = "top",
        .summary = "the sources, or listings, with most rejects",
        .arguments = "",
        .help =
            "Shows which sources were rejected most (the 550, drops and resets) since the control plane started.\v"
            "Counted by a Space-Saving sketch (Metwally, Agrawal, El Abbadi 2005) of 1024 entries over the samples' "
            "weights. Each line says how many of its events may not be its own (error): so many less is never too "
            "many. As long as every reject was told by itself (see `rejects --help`), no count is too low either, of N "
            "events in all none is more than N/1024 too high, and whoever has more than N/1024 is counted. Above that "
            "a sample stands for events that may be others' too: they count as its source's, and all but one as "
            "error; who was never sampled is not counted.\n"
            "\n"
            "--json prints one object: kind (sources, listings), n_events, n_counted, since_ms, entries (of prefix, "
            "source (a listing's), n_events, error and last_ms) and exit_code.\n",
        .options = top_options,
        .arguments_min = 0,
        .arguments_max = 0,
        .run = bl_cli_top_run,
    },
    {
        .name = "watch",
        .summary = "every change of the list as it happens",
        .arguments = "",
        .help =
            "Shows every change: when, by whom, of which prefix, and the record's serial. Ends with 0 when it is "
            "interrupted.\v"
            "An expiry is a change by actor \"expiry\". Records are kept for controlplane.log_kept_days; exit code 1 "
            "says "
            "that SERIAL is older. When the control plane goes, the exit code is 3: go on with --from and the last "
            "serial.\n"
            "\n"
            "--json prints an object a line: serial, time_ms, actor, kind (list, delist, exempt, unexempt, undelist: a "
            "delist came to its end), prefix, source (of a delist: that source dropped its listing; empty: all were "
            "suppressed), code, reason, action, self_service, observed_at_ms and expires_at_ms (0: never).\n",
        .options = watch_options,
        .run = bl_cli_watch_run,
    },
    {
        .name = "history",
        .summary = "who changed what about an address, newest first",
        .arguments = "ADDRESS",
        .help = "Shows the changes of what covers ADDRESS (or a prefix) and of what lies in it, the newest first, as "
                "far as "
                "the log is kept. Exit code 1 says that there is none.\v"
                "The log is read backwards, 256 MiB a call.\n"
                "\n"
                "--json prints one object: changes (as `watch --json` prints them) and exit_code.\n",
        .options = history_options,
        .arguments_min = 1,
        .arguments_max = 1,
        .takes_prefixes = true,
        .run = bl_cli_history_run,
    },
    {
        .name = "export",
        .summary = "the listings as they are, for other programs",
        .arguments = "",
        .help =
            "Writes all listings, of one source or of all, as they are at one serial: a prefix a line, IPv4 first.\v"
            "Formats: plain (a prefix a line); json (an object a line, as `watch --json`, with serial and actor of who "
            "set it); nft (two sets, bounceline_ipv4 and bounceline_ipv6, of table inet bounceline: for nft -f); "
            "rbldnsd (a combined zone of an ip4set and an ip6trie, with `:127.0.0.2:` and each reason).\n"
            "\n"
            "Delists and exemptions are not in it: what is listed by one source and delisted is still listed by it. "
            "--output keeps the old file until the new one is whole and on disk.\n",
        .options = export_options,
        .run = bl_cli_export_run,
    },
    {
        .name = "expire",
        .past = "released",
        .summary = "let expiry follow the clock again, where it is held",
        .arguments = "",
        .help =
            "Says that the clock is right: what is due by it expires, in ticks of controlplane.expiry_hold_percent. "
            "Where nothing is held it does nothing. For admins.\v"
            "Expiry is held when the clock stepped ahead, or the control plane started late, and more than "
            "controlplane.expiry_hold_percent of the list would expire by that; status says so.\n"
            "--json prints what the updates print, without items.\n",
        .arguments_min = 0,
        .arguments_max = 0,
        .run = bl_update_run,
    },
    {
        .name = "backup",
        .summary = "the log into a file, while writes go on",
        .arguments = "FILE",
        .help = "Writes the control plane's log (list, history, answers) to FILE, which is replaced when all of it is "
                "there and on disk; its mode is 0600.\v"
                "For administrators. Of a control plane that does not run: bounceline-controlplane --backup >FILE.\n",
        .arguments_min = 1,
        .arguments_max = 1,
        .run = bl_cli_backup_run,
    },
    {
        .name = "restore",
        .summary = "a backup in the place of the log",
        .arguments = "FILE",
        .help = "Checks FILE, all of it, and puts it in the place of the log that --config names (else "
                "/etc/bounceline/bounceline.yaml), under a new epoch: every data plane and watcher begins anew.\v"
                "The control plane must not run: stop it first. The log before stays in the data directory as "
                "log.sqlite.before-TIME. A FILE that is damaged is refused, and nothing has changed.\n",
        .arguments_min = 1,
        .arguments_max = 1,
        .run = bl_cli_restore_run,
    },
    {
        .name = "status",
        .summary = "serials, data planes, workers, digests, counters",
        .arguments = "",
        .help =
            "Shows the durable and the enforced serial, the list's size, and of each data plane its serial, digest, "
            "entries, age, workers and counters.\v"
            "The digests of control plane and data plane can be compared at equal serials only; so can the checksums "
            "of the workers of one data plane.\n"
            "\n"
            "--json prints one object: version, epoch (hex), durable_serial, enforced_serial, digest (hex), "
            "n_listings, "
            "n_exemptions, n_delists, n_effective_ipv4, n_effective_ipv6, n_classes, uptime_ms, write_fault (empty: "
            "writes are taken), expiry_hold (empty: what is due expires), exit_code, counters (rejects_taken, "
            "rejects_lost, rejects_file_lines, "
            "rejects_file_lost) and "
            "dataplanes, each of name, version, connected, epoch, serial, digest, "
            "digest_agrees "
            "(null: not at the same serial), replicas_agree (null likewise), n_entries_ipv4, n_entries_ipv6, age_ms, "
            "n_resyncs, n_digest_mismatches, workers (of worker, serial, checksum (hex), rx_packets, tx_packets) and "
            "counters (one key a reason; all of them, also zero). A failure prints error and exit_code.\n",
        .options = status_options,
        .arguments_min = 0,
        .arguments_max = 0,
        .run = bl_status_run,
    },
    {0},
};

const struct bl_command *bl_command_find(const char *name)
{
    for (const struct bl_command *command = bl_command_table; command->name != NULL; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}
