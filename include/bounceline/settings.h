/** @file settings.h
 * What bounceline.yaml may say: one section a program, every key with its type, range, unit, default and whether a
 * reload takes it. settings.c holds the schema; config.c reads the file; `dataplane/bounceline.yaml` is the annotated
 * sample, and a test holds the two against each other.
 *
 * Every program reads the whole file and refuses to start on an unknown key or bad value in any section, naming the
 * key, the line and what was expected. Threads: before workers start. Units are in the names. */
#ifndef BL_SETTINGS_H
#define BL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bounceline/address.h"
#include "bounceline/class.h"

enum {
    BL_SETTINGS_TEXT_MAX = 256, /**< of any one string, with NUL */
    BL_SETTINGS_PORTS_MAX = 16, /**< protected TCP ports */
    BL_SETTINGS_SOURCES_MAX = 64,
    BL_SETTINGS_ACTORS_MAX = 64,
    BL_SETTINGS_SOCKETS_MAX = 16, /**< beside the first one */
    BL_SETTINGS_PREFIXES_MAX = 256,
    BL_SETTINGS_PROTECTED_MAX = 64, /**< protected prefixes */
    BL_SETTINGS_RESOLVERS_MAX = 4,
};

/** The source of operators' listings (record.h knows it as BL_RECORD_OPERATOR): no feed may have the name. */
#define BL_SETTINGS_OPERATOR "operator"

enum bl_poll { BL_POLL_ADAPTIVE, BL_POLL_BUSY };
enum bl_stage { BL_STAGE_RCPT, BL_STAGE_MAIL };
enum bl_starttls { BL_STARTTLS_HIDE, BL_STARTTLS_REFUSE };
enum bl_established { BL_ESTABLISHED_PASS, BL_ESTABLISHED_RESET, BL_ESTABLISHED_DROP };
enum bl_hugepages { BL_HUGEPAGES_AUTO, BL_HUGEPAGES_ON, BL_HUGEPAGES_OFF };
enum bl_ticket_use { BL_TICKET_USE_OFF, BL_TICKET_USE_OPTIONAL, BL_TICKET_USE_REQUIRED };
enum bl_audit { BL_AUDIT_HASHED, BL_AUDIT_CLEAR };
enum bl_role { BL_ROLE_NONE, BL_ROLE_READER, BL_ROLE_DELISTER, BL_ROLE_FEEDER, BL_ROLE_ADMIN };

/** One protected port. */
struct bl_settings_port {
    uint16_t port;
    uint8_t action; /**< enum bl_action: what a class with the action reject does here */
};

/** Section `dataplane`. */
struct bl_settings_dataplane {
    char name[64];                     /**< of this data plane, for the control plane */
    char wan[BL_SETTINGS_TEXT_MAX];    /**< the port toward the internet, see port.h for its forms */
    char lan[BL_SETTINGS_TEXT_MAX];    /**< the port toward the mail servers */
    uint32_t workers;                  /**< 1..64, one queue pair of each port for each */
    char lcores[BL_SETTINGS_TEXT_MAX]; /**< EAL --lcores; empty: main on CPU 0, workers on the CPUs that follow */
    enum bl_poll poll;
    uint32_t idle_sleep_us; /**< of an adaptive worker, at most */
    enum bl_hugepages hugepages;
    uint32_t memory_mb;
    bool link_propagate; /**< one port without link takes the other one down */
    struct bl_settings_port protected_ports[BL_SETTINGS_PORTS_MAX];
    uint32_t n_protected_ports;
    struct bl_prefix protected_prefixes[BL_SETTINGS_PROTECTED_MAX]; /**< none: every address behind lan */
    uint32_t n_protected_prefixes;
    char hostname[BL_SETTINGS_TEXT_MAX]; /**< in the greeting; never a sender's own name */
    enum bl_stage stage;
    enum bl_starttls starttls;
    enum bl_established established;            /**< of connections that were open before the listing */
    char cookie_key_file[BL_SETTINGS_TEXT_MAX]; /**< 16 bytes; empty: from getrandom at each start */
    char ticket_key_file[BL_SETTINGS_TEXT_MAX]; /**< 16 bytes, shared with the portal; empty: no tickets */
    char table_file[BL_SETTINGS_TEXT_MAX];      /**< what a start without a control plane serves from; empty: none */
    uint32_t table_file_s;                      /**< least time between two writes of it */
    uint32_t answers_per_s;                     /**< each worker, as the next three; 0: no limit */
    uint32_t established_per_s;
    uint32_t resets_per_s;
    uint32_t resends_per_s;
    uint32_t resend_entries; /**< handshakes that a worker watches; 0: none */
    char sync_socket[BL_SETTINGS_TEXT_MAX];
    uint32_t frame_bytes;    /**< largest frame a port's buffers hold, with Ethernet header */
    uint32_t rx_descriptors; /**< a queue */
    uint32_t tx_descriptors;
    uint32_t forward_buffers;      /**< packet buffers, all workers */
    uint32_t reply_buffers;        /**< packet buffers for answers, a worker */
    uint32_t patch_step_bytes;     /**< of a patch, between two bursts */
    uint32_t reject_samples_per_s; /**< a worker and budget (dataplane/sampler.h); 0: none */
};

struct bl_settings_source {
    char name[64];
    uint16_t code;  /**< 606..649 */
    uint8_t action; /**< enum bl_action */
    bool self_service;
    char url[BL_CLASS_URL_MAX + 1]; /**< empty: controlplane.url */
};

/** Instead of a user id: none. */
#define BL_SETTINGS_NO_UID UINT32_MAX

/** Known by exactly one of uid, user, group and san. The limits: 0 is none. */
struct bl_settings_actor {
    char name[64];
    uint32_t uid;                   /**< SO_PEERCRED; or BL_SETTINGS_NO_UID */
    char user[64];                  /**< name of a user, looked up at the start */
    char group[64];                 /**< name of a group: all its members, by SO_PEERCRED and SO_PEERGROUPS */
    char san[BL_SETTINGS_TEXT_MAX]; /**< a name of its certificate: DNS:..., lower case, or URI:... */
    enum bl_role role;
    char source[64]; /**< feeder: the source it speaks for */
    uint32_t updates_per_s;
    uint32_t updates_per_minute;
    uint32_t updates_per_day;
    uint32_t calls_max;    /**< at a time, those with streams apart */
    uint32_t streams_max;  /**< at a time */
    uint32_t in_flight_mb; /**< of batches that are not answered yet */
};

/** A further Unix socket of ListControl. */
struct bl_settings_socket {
    char path[BL_SETTINGS_TEXT_MAX];
    char owner[64];    /**< empty: who the program runs as */
    char group[64];    /**< likewise */
    uint32_t mode;     /**< octal in the file */
    enum bl_role role; /**< the only role that counts here; BL_ROLE_NONE: any */
};

/** Section `controlplane`. */
struct bl_settings_controlplane {
    char socket[BL_SETTINGS_TEXT_MAX]; /**< ListControl */
    uint32_t socket_mode;              /**< octal in the file */
    struct bl_settings_socket sockets[BL_SETTINGS_SOCKETS_MAX];
    uint32_t n_sockets;
    char tls_listen[BL_SETTINGS_TEXT_MAX]; /**< ListControl by TCP, ADDRESS:PORT; empty: not */
    char tls_certificate_file[BL_SETTINGS_TEXT_MAX];
    char tls_key_file[BL_SETTINGS_TEXT_MAX];
    char tls_client_ca_file[BL_SETTINGS_TEXT_MAX];
    char tls_crl_file[BL_SETTINGS_TEXT_MAX]; /**< empty: nothing is revoked */
    char sync_socket[BL_SETTINGS_TEXT_MAX];  /**< TableSync */
    char data_directory[BL_SETTINGS_TEXT_MAX];
    char user[64];                  /**< runs as; empty: as started */
    char url[BL_CLASS_URL_MAX + 1]; /**< in the 550 line */
    uint16_t code;                  /**< of a listing that says none */
    uint8_t ipv6_unit;              /**< 48..128 */
    uint32_t delist_days;           /**< how long a delist lasts */
    uint32_t delist_grace_s;        /**< evidence this much younger than a delist does not count against it */
    uint32_t self_service_delists;  /**< so many of one prefix ... */
    uint32_t self_service_days;     /**< ... within this time close it to self-service */
    uint32_t hold_percent;          /**< a source's change over this share is held for force */
    uint64_t hold_floor_addresses;  /**< but never below this many addresses */
    uint32_t expiry_hold_percent;   /**< of the list, at most so much expires in one tick */
    struct bl_prefix never_listed[BL_SETTINGS_PREFIXES_MAX]; /**< the operator's own networks */
    uint32_t n_never_listed;
    struct bl_settings_source sources[BL_SETTINGS_SOURCES_MAX]; /**< in order: the first wins */
    uint32_t n_sources;
    struct bl_settings_actor actors[BL_SETTINGS_ACTORS_MAX];
    uint32_t n_actors;
    uint32_t retry_window;                   /**< answers kept for retries */
    uint32_t snapshot_records;               /**< a snapshot after this many records */
    uint32_t log_kept_days;                  /**< records older than that are deleted; 0: none is */
    uint32_t idle_s;                         /**< a client that does nothing for so long is dropped */
    uint32_t commit_batches_max;             /**< batches in one commit */
    uint32_t rejects_kept;                   /**< in memory */
    char rejects_file[BL_SETTINGS_TEXT_MAX]; /**< JSON lines; empty: none */
    uint32_t rejects_file_mb;
    uint32_t rejects_files; /**< the one that is written, and older ones */
    char metrics[64];       /**< address:port of the page for Prometheus; empty: none */
};

/** Section `client`. */
struct bl_settings_client {
    char socket[BL_SETTINGS_TEXT_MAX];
    char connect[BL_SETTINGS_TEXT_MAX]; /**< HOST:PORT, by TLS instead of the socket; empty: not */
    char certificate_file[BL_SETTINGS_TEXT_MAX];
    char key_file[BL_SETTINGS_TEXT_MAX];
    char ca_file[BL_SETTINGS_TEXT_MAX];
    uint32_t deadline_ms;
};

/** A DNS server. */
struct bl_settings_resolver {
    struct bl_address address;
    uint16_t port;
};

/** Section `portal`. */
struct bl_settings_portal {
    char listen[BL_SETTINGS_TEXT_MAX];                           /**< unix:/PATH or ADDRESS:PORT */
    char operator_listen[BL_SETTINGS_TEXT_MAX];                  /**< the same for the operator's view; "": none */
    struct bl_prefix trusted_proxies[BL_SETTINGS_PROTECTED_MAX]; /**< whose X-Forwarded-For counts */
    uint32_t n_trusted_proxies;
    char base_url[BL_SETTINGS_TEXT_MAX]; /**< of every link that leaves the portal */
    char socket[BL_SETTINGS_TEXT_MAX];   /**< the control plane's */
    uint32_t deadline_ms;
    char data_directory[BL_SETTINGS_TEXT_MAX];
    char user[64];
    char operator_name[64]; /**< whose service this is, on pages and in mails */
    char contact[BL_SETTINGS_TEXT_MAX];
    char mail_server[BL_SETTINGS_TEXT_MAX]; /**< smtp://HOST:PORT */
    char mail_from[BL_SETTINGS_TEXT_MAX];
    char envelope_from[BL_SETTINGS_TEXT_MAX]; /**< empty: the null sender */
    enum bl_ticket_use ticket;
    char ticket_key_file[BL_SETTINGS_TEXT_MAX];
    uint32_t link_lifetime_s;
    uint32_t mails_per_address_day;
    uint32_t requests_per_source_hour;
    uint32_t requests_per_network_hour;
    uint32_t requests_per_hour;
    uint32_t work_bits; /**< of the proof of work; 0: none is asked for */
    uint32_t delay_s;   /**< of the mail, without ticket and proof of work */
    enum bl_audit audit;
    uint32_t range_addresses; /**< of one visit of the hosters' page; 0: there is none */
    bool reverse_names;       /**< the DNS is asked whom an address without a ticket belongs to */
    struct bl_settings_resolver resolvers[BL_SETTINGS_RESOLVERS_MAX]; /**< none: those of /etc/resolv.conf */
    uint32_t n_resolvers;
    uint32_t resolver_timeout_ms; /**< of one question to one server */
};

struct bl_settings {
    struct bl_settings_dataplane dataplane;
    struct bl_settings_controlplane controlplane;
    struct bl_settings_client client;
    struct bl_settings_portal portal;
};

/** The sections, as a mask: which of them a program can't do without. */
enum { BL_SETTINGS_DATAPLANE = 1, BL_SETTINGS_CONTROLPLANE = 2, BL_SETTINGS_CLIENT = 4, BL_SETTINGS_PORTAL = 8 };

/** Reads @p path into @p out; keys that are not there get their defaults. A key without a sane default (the sample says
 * "required") must be there when its section is, or when the section is in @p needed: BL_SETTINGS_DATAPLANE for the data
 * plane, and so on. Nothing is half-read: on failure @p out is untouched.
 * @return 0, BL_ENOENT, BL_EIO, BL_ENOMEM, BL_ETOOBIG, BL_EINVAL or BL_ERANGE; @p detail says
 * "file:line: section.key: what was found, what was expected". Cost: start-up. */
int bl_settings_load(const char *path, unsigned needed, struct bl_settings *out, struct bl_error_detail *detail);

/** All defaults; required keys are empty. */
void bl_settings_init(struct bl_settings *out);

struct bl_config_section;

/** The schema, for the test that holds the sample against it. @return its sections, *n of them. */
const struct bl_config_section *bl_settings_schema(size_t *n);

/** "reader" ... ; "none" for any other value. */
const char *bl_settings_role_text(enum bl_role role);

#endif
