/* bounceline.yaml's schema, and the annotated sample against it: every key is in both, with the same default, in the
 * words of the comment, and the examples in comments work. */
#include <check.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounceline/config.h"
#include "bounceline/hostname.h"
#include "bounceline/settings.h"

static struct bl_settings settings;
static struct bl_settings defaults;
static struct bl_error_detail detail;

/* Enough of every section for a file to load. */
#define DATAPLANE "dataplane:\n  wan: eth1\n  lan: eth2\n  hostname: mx.example.org\n"
#define PORTAL "portal:\n  base_url: https://delist.example.org\n  mail_from: a@example.org\n  contact: b@example.org\n"
#define CONTROLPLANE "controlplane:\n  url: https://delist.example.org/\n"

static int load(const char *text, unsigned needed)
{
    char path[] = "/tmp/test_settings.XXXXXX";
    int file = mkstemp(path);
    char *cause;
    int error;

    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    ck_assert_int_eq(close(file), 0);
    detail.text[0] = '\0';
    error = bl_settings_load(path, needed, &settings, &detail);
    ck_assert_int_eq(unlink(path), 0);
    /* The name of the file is there; the tests below go on behind it. */
    if (error != BL_OK) {
        ck_assert_msg(strncmp(detail.text, path, strlen(path)) == 0, "said: %s", detail.text);
        cause = detail.text + strlen(path);
        memmove(detail.text, cause, strlen(cause) + 1);
    }
    return error;
}

START_TEST(defaults_make_a_lab_work)
{
    bl_settings_init(&defaults);
    ck_assert_str_eq(defaults.dataplane.hostname, "");
    ck_assert_uint_eq(defaults.dataplane.workers, 1);
    ck_assert_uint_eq(defaults.dataplane.n_protected_ports, 1);
    ck_assert_uint_eq(defaults.dataplane.protected_ports[0].port, 25);
    ck_assert_uint_eq(defaults.dataplane.protected_ports[0].action, BL_ACTION_REJECT);
    ck_assert_uint_eq(defaults.dataplane.n_protected_prefixes, 0);
    ck_assert_int_eq(defaults.dataplane.established, BL_ESTABLISHED_PASS);
    ck_assert_uint_eq(defaults.dataplane.resend_entries, 16384);
    ck_assert_int_eq(defaults.dataplane.stage, BL_STAGE_RCPT);
    ck_assert(!defaults.dataplane.link_propagate);
    ck_assert_int_eq(defaults.dataplane.starttls, BL_STARTTLS_HIDE);
    ck_assert_uint_eq(defaults.dataplane.frame_bytes, 2048);
    ck_assert_str_eq(defaults.dataplane.sync_socket, defaults.controlplane.sync_socket);
    ck_assert_str_eq(defaults.client.socket, defaults.controlplane.socket);
    ck_assert_str_eq(defaults.controlplane.socket, "/run/bounceline/control.sock");
    ck_assert_str_eq(defaults.controlplane.data_directory, "/var/lib/bounceline");
    ck_assert_uint_eq(defaults.controlplane.socket_mode, 0660);
    ck_assert_str_eq(defaults.controlplane.url, "");
    ck_assert_uint_eq(defaults.controlplane.code, 606);
    ck_assert_uint_eq(defaults.controlplane.ipv6_unit, 64);
    ck_assert_uint_eq(defaults.controlplane.delist_days, 30);
    ck_assert_uint_eq(defaults.controlplane.delist_grace_s, 300);
    ck_assert_uint_eq(defaults.controlplane.hold_percent, 5);
    ck_assert_uint_eq(defaults.controlplane.hold_floor_addresses, 1024);
    ck_assert_uint_eq(defaults.controlplane.retry_window, 65536);
    ck_assert_uint_eq(defaults.controlplane.snapshot_records, 100000);
    ck_assert_uint_eq(defaults.client.deadline_ms, 5000);
}
END_TEST

START_TEST(a_program_needs_its_own_section_only)
{
    ck_assert_int_eq(load("", BL_SETTINGS_CLIENT), BL_OK);
    ck_assert_int_eq(load("client:\n  deadline_ms: 2s\n", BL_SETTINGS_CLIENT), BL_OK);
    ck_assert_uint_eq(settings.client.deadline_ms, 2000);
    ck_assert_int_eq(load(DATAPLANE, BL_SETTINGS_DATAPLANE), BL_OK);
    ck_assert_int_eq(load(DATAPLANE, BL_SETTINGS_CONTROLPLANE), BL_EINVAL);
    ck_assert_ptr_nonnull(strstr(detail.text, "controlplane.url: found nothing"));
    ck_assert_int_eq(load(CONTROLPLANE, BL_SETTINGS_CONTROLPLANE), BL_OK);
    ck_assert_int_eq(load(CONTROLPLANE, BL_SETTINGS_DATAPLANE), BL_EINVAL);
    ck_assert_ptr_nonnull(strstr(detail.text, "dataplane.wan: found nothing"));
    ck_assert_int_eq(load("dataplane:\n  wan: a\n  lan: b\n", BL_SETTINGS_CLIENT), BL_EINVAL);
    ck_assert_str_eq(detail.text, ":2: dataplane.hostname: found nothing, expected printable ASCII text of at most 255 "
                                  "bytes: it has no default");
}
END_TEST

START_TEST(a_failed_load_changes_nothing)
{
    struct bl_settings before;

    memset(&settings, 0x5a, sizeof(settings));
    before = settings;
    ck_assert_int_eq(load("client:\n  deadline_ms: 7\n  deadline_ms: 8\n", 0), BL_EINVAL);
    ck_assert_mem_eq(&settings, &before, sizeof(settings));
    ck_assert_int_eq(bl_settings_load("/nonexistent/bounceline.yaml", 0, &settings, &detail), BL_ENOENT);
    ck_assert_mem_eq(&settings, &before, sizeof(settings));
}
END_TEST

START_TEST(lists_are_read)
{
    ck_assert_int_eq(
        load("controlplane:\n"
             "  url: https://delist.example.org/?ip={address}\n"
             "  never_listed: [192.0.2.0/24, 2001:db8::/32, 198.51.100.7]\n"
             "  sources:\n"
             "    - {name: drop, code: 649, action: monitor, self_service: false, url: 'http://a.example/'}\n"
             "    - {name: other, code: 606}\n"
             "  actors:\n"
             "    - {name: feed, uid: 0, role: feeder, source: drop}\n"
             "    - {name: alice, uid: 4294967294, role: admin}\n",
             0),
        BL_OK);
    ck_assert_uint_eq(settings.controlplane.n_never_listed, 3);
    ck_assert_uint_eq(settings.controlplane.never_listed[1].length, 32);
    ck_assert_uint_eq(settings.controlplane.never_listed[1].family, BL_FAMILY_IPV6);
    ck_assert_uint_eq(settings.controlplane.never_listed[2].length, 32);
    ck_assert_uint_eq(settings.controlplane.n_sources, 2);
    ck_assert_str_eq(settings.controlplane.sources[0].name, "drop");
    ck_assert_uint_eq(settings.controlplane.sources[0].code, 649);
    ck_assert_uint_eq(settings.controlplane.sources[0].action, BL_ACTION_MONITOR);
    ck_assert(!settings.controlplane.sources[0].self_service);
    ck_assert_str_eq(settings.controlplane.sources[0].url, "http://a.example/");
    ck_assert_uint_eq(settings.controlplane.sources[1].action, BL_ACTION_REJECT);
    ck_assert(settings.controlplane.sources[1].self_service);
    ck_assert_uint_eq(settings.controlplane.n_actors, 2);
    ck_assert_int_eq(settings.controlplane.actors[0].role, BL_ROLE_FEEDER);
    ck_assert_str_eq(settings.controlplane.actors[0].source, "drop");
    ck_assert_uint_eq(settings.controlplane.actors[1].uid, 4294967294u);
    ck_assert_int_eq(settings.controlplane.actors[1].role, BL_ROLE_ADMIN);
}
END_TEST

START_TEST(ports_may_have_an_action)
{
    ck_assert_int_eq(load(DATAPLANE "  protected_ports: [25, 587, 465:reset, '2525:drop', 26:monitor, 27:reject]\n"
                                    "  protected_prefixes: [192.0.2.0/24, 2001:db8:25::/64, 198.51.100.7]\n",
                          0),
                     BL_OK);
    ck_assert_uint_eq(settings.dataplane.n_protected_ports, 6);
    ck_assert_uint_eq(settings.dataplane.protected_ports[1].port, 587);
    ck_assert_uint_eq(settings.dataplane.protected_ports[1].action, BL_ACTION_REJECT);
    ck_assert_uint_eq(settings.dataplane.protected_ports[2].port, 465);
    ck_assert_uint_eq(settings.dataplane.protected_ports[2].action, BL_ACTION_RESET);
    ck_assert_uint_eq(settings.dataplane.protected_ports[3].action, BL_ACTION_DROP);
    ck_assert_uint_eq(settings.dataplane.protected_ports[4].action, BL_ACTION_MONITOR);
    ck_assert_uint_eq(settings.dataplane.protected_ports[5].action, BL_ACTION_REJECT);
    ck_assert_uint_eq(settings.dataplane.n_protected_prefixes, 3);
    ck_assert_uint_eq(settings.dataplane.protected_prefixes[2].length, 32);
}
END_TEST

/* What is behind the line of the last line in @p text, where not said otherwise. */
static const struct {
    const char *text;
    int error;
    const char *cause;
} refusals[] = {
    {DATAPLANE "  workers: 0\n", BL_ERANGE, ":5: dataplane.workers: found '0', expected an integer of 1..64"},
    {DATAPLANE "  workers: 65\n", BL_ERANGE, ":5: dataplane.workers: found '65', expected an integer of 1..64"},
    {DATAPLANE "  stage: data\n", BL_EINVAL, ":5: dataplane.stage: found 'data', expected one of rcpt, mail"},
    {DATAPLANE "  starttls: offer\n", BL_EINVAL, ":5: dataplane.starttls: found 'offer', expected one of hide, refuse"},
    {DATAPLANE "  link_propagate: 1\n", BL_EINVAL, ":5: dataplane.link_propagate: found '1', expected true or false"},
    {DATAPLANE "  poll: true\n", BL_EINVAL, ":5: dataplane.poll: found 'true', expected one of adaptive, busy"},
    {DATAPLANE "  protected_ports: [25, 465]\n", BL_EINVAL,
     ":5: dataplane.protected_ports: found '465', expected 465:reset, 465:drop or 465:monitor"},
    {DATAPLANE "  protected_ports: ['465:reject']\n", BL_EINVAL,
     ":5: dataplane.protected_ports: found '465:reject', expected 465:reset"},
    {DATAPLANE "  protected_ports: ['25:bounce']\n", BL_EINVAL,
     ":5: dataplane.protected_ports: found '25:bounce', expected a port 1..65535, or one with what"},
    {DATAPLANE "  protected_ports: ['25:']\n", BL_EINVAL,
     ":5: dataplane.protected_ports: found '25:', expected a port"},
    {DATAPLANE "  protected_ports: [0]\n", BL_EINVAL, ":5: dataplane.protected_ports: found '0', expected a port"},
    {DATAPLANE "  protected_ports: [025]\n", BL_EINVAL, ":5: dataplane.protected_ports: found '025', expected a port"},
    {DATAPLANE "  protected_ports: [65536]\n", BL_ERANGE,
     ":5: dataplane.protected_ports: found '65536', expected a port"},
    {DATAPLANE "  protected_ports: [-1]\n", BL_EINVAL, ":5: dataplane.protected_ports: found '-1', expected a port"},
    {DATAPLANE "  protected_ports: [25, '25:drop']\n", BL_EINVAL, ":5: dataplane.protected_ports: found '25' twice"},
    {DATAPLANE "  protected_prefixes: [2001:db8::1]\n", BL_EINVAL,
     ":5: dataplane.protected_prefixes: found '2001:db8::1', expected a length behind an IPv6 address"},
    {DATAPLANE "  protected_prefixes: [192.0.2.1/24]\n", BL_EINVAL,
     ":5: dataplane.protected_prefixes: '192.0.2.1/24': has bits set behind its length"},
    {DATAPLANE "  established: ignore\n", BL_EINVAL,
     ":5: dataplane.established: found 'ignore', expected one of pass, reset, drop"},
    {DATAPLANE "  ticket_key_file: key\n", BL_EINVAL,
     ":5: dataplane.ticket_key_file: found 'key', expected a path that"},
    {DATAPLANE "  resend_entries: 1048577\n", BL_ERANGE,
     ":5: dataplane.resend_entries: found '1048577', expected an integer of 0..1048576"},
    {DATAPLANE "  protected_ports: [25, 25]\n", BL_EINVAL, ":5: dataplane.protected_ports: found '25' twice"},
    {DATAPLANE "  protected_ports: []\n", BL_EINVAL, ":5: dataplane.protected_ports: found no port"},
    {DATAPLANE "  lcores: 0@0 --in-memory\n", BL_EINVAL,
     ":5: dataplane.lcores: found '0@0 --in-memory', expected EAL's"},
    {DATAPLANE "  cookie_key_file: key\n", BL_EINVAL,
     ":5: dataplane.cookie_key_file: found 'key', expected a path that"},
    {DATAPLANE "  sync_socket: sync\n", BL_EINVAL, ":5: dataplane.sync_socket: found 'sync', expected a path that"},
    {DATAPLANE "  sync_socket: /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
               "aaaaaaaaaaaaaaaaaaaa\n",
     BL_ERANGE, ":5: dataplane.sync_socket: found a path of 108 bytes, expected at most 107"},
    {DATAPLANE "  name: a b\n", BL_EINVAL, ":5: dataplane.name: found 'a b', expected a name of"},
    {DATAPLANE "  frame_bytes: 1500\n", BL_ERANGE,
     ":5: dataplane.frame_bytes: found '1500', expected an integer of 1522"},
    {"dataplane:\n  wan: eth1\n  hostname: a\n  lan: eth1\n", BL_EINVAL, ":4: dataplane.lan: found the port of wan"},
    {"dataplane:\n  wan: eth1 x\n", BL_EINVAL, ":2: dataplane.wan: found 'eth1 x', expected a port"},
    {"controlplane:\n  sources:\n    - name: Drop\n", BL_EINVAL,
     ":3: controlplane.sources.name: found 'Drop', expected a source's name: a-z"},
    {"controlplane:\n  actors:\n    - source: Drop\n", BL_EINVAL,
     ":3: controlplane.actors.source: found 'Drop', expected a source's name: a-z"},
    {"dataplane:\n  hostname: mx_1.example.org\n", BL_EINVAL,
     ":2: dataplane.hostname: found 'mx_1.example.org', expec"},
    {"dataplane:\n  hostname: \"mx\\r\\n250 ok\"\n", BL_EINVAL,
     ":2: dataplane.hostname: found the quoted text 'mx??250"},
    {CONTROLPLANE "  code: 605\n", BL_ERANGE, ":3: controlplane.code: found '605', expected an integer of 606..649"},
    {CONTROLPLANE "  code: 650\n", BL_ERANGE, ":3: controlplane.code: found '650', expected an integer of 606..649"},
    {CONTROLPLANE "  ipv6_unit: 47\n", BL_ERANGE,
     ":3: controlplane.ipv6_unit: found '47', expected an integer of 48..128"},
    {CONTROLPLANE "  socket_mode: 0999\n", BL_EINVAL,
     ":3: controlplane.socket_mode: found '0999', expected an octal mode"},
    {CONTROLPLANE "  data_directory: data\n", BL_EINVAL,
     ":3: controlplane.data_directory: found 'data', expected a path"},
    {CONTROLPLANE "  user: root:root\n", BL_EINVAL, ":3: controlplane.user: found 'root:root', expected a name"},
    {CONTROLPLANE "  delist_days: 12h\n", BL_EINVAL, ":3: controlplane.delist_days: found '12h', expected whole days"},
    {CONTROLPLANE "  sync_socket: /run/bounceline/control.sock\n", BL_EINVAL,
     ":3: controlplane.sync_socket: found the path of socket"},
    {CONTROLPLANE "  never_listed:\n    - 192.0.2.0/24\n    - 192.0.2.1/24\n", BL_EINVAL,
     ":5: controlplane.never_listed: '192.0.2.1/24': has bits set behind its length"},
    {CONTROLPLANE "  never_listed: [2001:db8::1]\n", BL_EINVAL,
     ":3: controlplane.never_listed: found '2001:db8::1', expected a length behind an IPv6 address"},
    {CONTROLPLANE "  never_listed: [mail.example.org]\n", BL_EINVAL,
     ":3: controlplane.never_listed: 'mail.example.org'"},
    {CONTROLPLANE "  sources:\n    - name: a\n      code: 606\n    - name: b\n      code: 700\n", BL_ERANGE,
     ":7: controlplane.sources.code: found '700', expected an integer of 606..649"},
    {CONTROLPLANE "  sources:\n    - name: a\n      code: 606\n    - code: 606\n      name: a\n", BL_EINVAL,
     ":7: controlplane.sources.name: found the name of a source above"},
    {CONTROLPLANE "  sources:\n    - name: a\n", BL_EINVAL, ":4: controlplane.sources.code: found nothing, expected"},
    {CONTROLPLANE "  sources:\n    - name: operator\n      code: 606\n", BL_EINVAL,
     ":4: controlplane.sources.name: found 'operator', expected another name"},
    {CONTROLPLANE "  sources:\n    - name: a\n      code: 606\n      url: ftp://a\n", BL_EINVAL,
     ":6: controlplane.sources.url: found 'ftp://a': expected http:// or https:// at its start"},
    {CONTROLPLANE "  sources:\n    - name: a\n      code: 606\n      action: bounce\n", BL_EINVAL,
     ":6: controlplane.sources.action: found 'bounce', expected one of reject, reset, drop, monitor"},
    {CONTROLPLANE "  actors:\n    - name: a\n      uid: 4294967296\n", BL_ERANGE,
     ":5: controlplane.actors.uid: found '42"},
    {CONTROLPLANE "  actors:\n    - name: a\n      uid: 1\n      role: root\n", BL_EINVAL,
     ":6: controlplane.actors.role: found 'root', expected one of reader, delister, feeder, admin"},
    {CONTROLPLANE "  actors:\n    - name: a\n      uid: 1\n      role: feeder\n", BL_EINVAL,
     "controlplane.actors.source: found nothing, expected the source that this feeder speaks for"},
    {CONTROLPLANE "  actors:\n    - name: a\n      uid: 1\n      source: x\n      role: admin\n", BL_EINVAL,
     ":6: controlplane.actors.source: found a source, expected none"},
    {CONTROLPLANE "  actors:\n    - name: a\n      uid: 1\n      source: operator\n      role: feeder\n", BL_EINVAL,
     ":6: controlplane.actors.source: found 'operator', expected a feed's name"},
    {CONTROLPLANE "  actors:\n    - {name: a, uid: 1, role: admin}\n    - {name: b, uid: 1, role: admin}\n", BL_EINVAL,
     ":5: controlplane.actors.uid: found the uid of an actor above"},
    {CONTROLPLANE "  actors:\n    - {name: a, uid: 1, san: 'DNS:a', role: admin}\n", BL_EINVAL,
     "controlplane.actors.uid: expected exactly one of uid, user, group and san"},
    {CONTROLPLANE "  actors:\n    - {name: a, san: 'DNS:A.example', role: admin}\n", BL_EINVAL,
     "controlplane.actors.san: found 'DNS:A.example', expected a whole name of a certificate"},
    {CONTROLPLANE "  actors:\n    - {name: a, san: 'DNS:*.example', role: admin}\n", BL_EINVAL,
     "controlplane.actors.san: found 'DNS:*.example'"},
    {CONTROLPLANE "  actors:\n    - {name: a, san: a.example, role: admin}\n", BL_EINVAL,
     "controlplane.actors.san: found 'a.example'"},
    {CONTROLPLANE "  actors:\n    - {name: a, san: 'URI:x', role: admin}\n    - {name: b, san: 'URI:x', role: admin}\n",
     BL_EINVAL, ":5: controlplane.actors.san: found the san of an actor above"},
    {CONTROLPLANE "  tls_listen: 192.0.2.1:5025\n", BL_EINVAL,
     ":3: controlplane.tls_listen: expected tls_certificate_file, tls_key_file and tls_client_ca_file with it"},
    {CONTROLPLANE "  tls_listen: 192.0.2.1\n", BL_EINVAL,
     ":3: controlplane.tls_listen: found '192.0.2.1', expected HOST:PORT"},
    {CONTROLPLANE "  tls_listen: '2001:db8::1:5025'\n", BL_EINVAL, ":3: controlplane.tls_listen: found '2001:db8"},
    {CONTROLPLANE "  tls_listen: '[::]:65536'\n", BL_EINVAL, ":3: controlplane.tls_listen: found '[::]:65536'"},
    {"client:\n  connect: a:1\n", BL_EINVAL,
     ":2: client.connect: expected certificate_file, key_file and ca_file with it"},
    {CONTROLPLANE "  actors:\n    - {name: a, uid: 1, role: admin}\n    - {name: a, uid: 2, role: admin}\n", BL_EINVAL,
     ":5: controlplane.actors.name: found the name of an actor above"},
    {"controlplane:\n  url: https://a.example/{ip}\n", BL_EINVAL,
     ":2: controlplane.url: found 'https://a.example/{ip}': '{' at position 19: expected {address}"},
    {"controlplane:\n  url: \"https://a.example/ x\"\n", BL_EINVAL,
     ":2: controlplane.url: found 'https://a.example/ x': byte 0x20 at position 19"},
    {"controlplane:\n  url: delist.example.org\n", BL_EINVAL,
     ":2: controlplane.url: found 'delist.example.org': expected http:// or https:// at its start"},
    {"client:\n  deadline_ms: 0\n", BL_ERANGE, ":2: client.deadline_ms: found '0', expected whole milliseconds"},
    {"client:\n  sockt: /a\n", BL_EINVAL,
     ":2: client: found the unknown key 'sockt', expected one of socket, connect, certificate_file, key_file, "
     "ca_file, deadline_ms"},
    {"portals:\n  a: 1\n", BL_EINVAL,
     ":1: found the unknown section 'portals', expected one of dataplane, controlplane"},
    {PORTAL "  ticket: required\n", BL_EINVAL, "portal.ticket_key_file: found nothing"},
    {PORTAL "  mail_server: mx.example.org\n", BL_EINVAL,
     ":5: portal.mail_server: found 'mx.example.org', expected smtp://"},
    {PORTAL "  listen: 127.0.0.1\n", BL_EINVAL, ":5: portal.listen: found '127.0.0.1', expected unix:/PATH"},
    {PORTAL "  listen: ::1:80\n", BL_EINVAL, ":5: portal.listen: found '::1:80', expected unix:/PATH"},
    {PORTAL "  resolvers: [127.0.0.1, dns.example.org]\n", BL_EINVAL,
     ":5: portal.resolvers: found 'dns.example.org', expected an address"},
    {PORTAL "  range_addresses: 257\n", BL_ERANGE, ":5: portal.range_addresses: "},
    {PORTAL "  link_lifetime_s: 86401\n", BL_ERANGE, ":5: portal.link_lifetime_s: "},
    {PORTAL "  operator_name: \"a\\\"b\"\n", BL_EINVAL, ":5: portal.operator_name: "},
    {"portal:\n  base_url: https://delist.example.org/\n", BL_EINVAL, ":2: portal.base_url: "},
    {"portal:\n  base_url: https://delist.example.org\n  mail_from: x\n", BL_EINVAL, ":3: portal.mail_from: "},
};

START_TEST(refusals_name_line_and_key)
{
    ck_assert_int_eq(load(refusals[_i].text, 0), refusals[_i].error);
    ck_assert_msg(strstr(detail.text, refusals[_i].cause) != NULL, "expected %s in %s", refusals[_i].cause,
                  detail.text);
}
END_TEST

/* Each {address} counts with the longest address: three fit behind this URL, nine do not, though the file's own line is
 * short. */
START_TEST(a_url_that_overflows_the_line_is_refused)
{
    ck_assert_int_eq(load("controlplane:\n  url: https://delist.example.org/{address}{address}{address}\n", 0), BL_OK);
    ck_assert_int_eq(
        load("controlplane:\n  url: https://delist.example.org/{address}{address}{address}{address}{address}"
             "{address}{address}{address}{address}\n",
             0),
        BL_ERANGE);
    ck_assert_ptr_nonnull(strstr(detail.text, ":2: controlplane.url: found 'https://delist.example.org/{address}"));
    ck_assert_ptr_nonnull(strstr(detail.text, "the reply line would take up to"));
}
END_TEST

START_TEST(host_names)
{
    char longest[300] = "";

    ck_assert(bl_hostname_valid("mx"));
    ck_assert(bl_hostname_valid("mx-1.Example.ORG"));
    ck_assert(bl_hostname_valid("3com.example"));
    ck_assert(!bl_hostname_valid(""));
    ck_assert(!bl_hostname_valid("."));
    ck_assert(!bl_hostname_valid("mx."));
    ck_assert(!bl_hostname_valid(".mx"));
    ck_assert(!bl_hostname_valid("a..b"));
    ck_assert(!bl_hostname_valid("-mx.example"));
    ck_assert(!bl_hostname_valid("mx-.example"));
    ck_assert(!bl_hostname_valid("mx example"));
    ck_assert(!bl_hostname_valid("mx\r\nexample"));
    ck_assert(!bl_hostname_valid("m\xc3\xbcller.example"));
    memset(longest, 'a', 63);
    ck_assert(bl_hostname_valid(longest));
    longest[63] = 'a';
    ck_assert(!bl_hostname_valid(longest));
    for (int i = 0; i < 253; i++)
        longest[i] = i % 64 == 63 ? '.' : 'a';
    longest[253] = '\0';
    ck_assert(bl_hostname_valid(longest));
    /* One label of 62 instead of 61: every label is fine, the name is too long. */
    longest[253] = 'a';
    ck_assert(!bl_hostname_valid(longest));
}
END_TEST

START_TEST(role_names)
{
    ck_assert_str_eq(bl_settings_role_text(BL_ROLE_READER), "reader");
    ck_assert_str_eq(bl_settings_role_text(BL_ROLE_DELISTER), "delister");
    ck_assert_str_eq(bl_settings_role_text(BL_ROLE_FEEDER), "feeder");
    ck_assert_str_eq(bl_settings_role_text(BL_ROLE_ADMIN), "admin");
    ck_assert_str_eq(bl_settings_role_text(BL_ROLE_NONE), "none");
    ck_assert_str_eq(bl_settings_role_text((enum bl_role)77), "none");
}
END_TEST

/* ---- The sample ---- */

static char *sample;

static void read_sample(void)
{
    const char *source = getenv("BL_SOURCE");
    char path[512];
    size_t length;

    (void)snprintf(path, sizeof(path), "%s/dataplane/bounceline.yaml", source == NULL ? "." : source);
    ck_assert_msg(bl_config_read_file(path, &sample, &length, &detail) == BL_OK, "%s", detail.text);
    sample[length] = '\0'; /* there is room: BL_CONFIG_FILE_BYTES_MAX + 1 */
}

static void free_sample(void)
{
    free(sample);
}

/* As it stands it is all defaults, but for what has none. */
START_TEST(the_sample_is_all_defaults)
{
    ck_assert_msg(load(sample, 15) == BL_OK, "%s", detail.text);
    bl_settings_init(&defaults);
    memcpy(defaults.dataplane.wan, settings.dataplane.wan, sizeof(defaults.dataplane.wan));
    memcpy(defaults.dataplane.lan, settings.dataplane.lan, sizeof(defaults.dataplane.lan));
    memcpy(defaults.dataplane.hostname, settings.dataplane.hostname, sizeof(defaults.dataplane.hostname));
    memcpy(defaults.controlplane.url, settings.controlplane.url, sizeof(defaults.controlplane.url));
    memcpy(defaults.portal.base_url, settings.portal.base_url, sizeof(defaults.portal.base_url));
    memcpy(defaults.portal.mail_from, settings.portal.mail_from, sizeof(defaults.portal.mail_from));
    memcpy(defaults.portal.contact, settings.portal.contact, sizeof(defaults.portal.contact));
    ck_assert_mem_eq(&settings, &defaults, sizeof(settings));
}
END_TEST

/* One documented key: where it stands and the last line of its comment. */
struct documented {
    const char *name;
    size_t length;
    const char *note;
    size_t note_length;
    bool example; /* behind "#:" */
};

static const char *line_end(const char *at)
{
    const char *end = strchr(at, '\n');

    return end == NULL ? at + strlen(at) : end;
}

static bool starts_comment(const char *at)
{
    return at[0] == '#' && at[1] == ' ';
}

/* Finds the next line that holds a key, in the text or in a "#:" example, from *at on. */
static bool next_key(const char **at, struct documented *key)
{
    const char *note = NULL;

    while (**at != '\0') {
        const char *text = *at + strspn(*at, " ");
        const char *end = line_end(text);

        *at = *end == '\0' ? end : end + 1;
        if (starts_comment(text)) {
            note = text + 2;
            continue;
        }
        key->example = strncmp(text, "#:", 2) == 0;
        if (key->example)
            text += 2;
        text += strspn(text, " -");
        key->name = text;
        key->length = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (key->length == 0 || text[key->length] != ':') {
            note = end == text ? NULL : note;
            continue;
        }
        key->note = note;
        key->note_length = note == NULL ? 0 : (size_t)(line_end(note) - note);
        return true;
    }
    return false;
}

static bool is_named(const struct documented *documented, const char *name)
{
    return documented->length == strlen(name) && memcmp(documented->name, name, documented->length) == 0;
}

/* The last line of a key's comment: "what; default: X; restart". */
static void check_note(const struct documented *documented, const struct bl_config_key *key)
{
    char note[256];
    char want[256];

    ck_assert_msg(documented->note != NULL, "%s has no comment", key->name);
    ck_assert_uint_lt(documented->note_length, sizeof(note));
    memcpy(note, documented->note, documented->note_length);
    note[documented->note_length] = '\0';
    if (key->required)
        (void)snprintf(want, sizeof(want), "; required; %s", key->reload ? "at once" : "restart");
    else
        (void)snprintf(want, sizeof(want), "; default: %s%s%s; %s", key->count_offset != 0 ? "[" : "",
                       key->initial != NULL     ? key->initial
                       : key->count_offset != 0 ? ""
                                                : "\"\"",
                       key->count_offset != 0 ? "]" : "", key->reload ? "at once" : "restart");
    ck_assert_msg(strlen(note) > strlen(want) && strcmp(note + strlen(note) - strlen(want), want) == 0,
                  "%s: the comment ends with '%s', expected '%s'", key->name, note, want);
    if (key->type == BL_CONFIG_INTEGER || key->type == BL_CONFIG_DURATION) {
        (void)snprintf(want, sizeof(want), "%ju..%ju", (uintmax_t)key->min, (uintmax_t)key->max);
        ck_assert_msg(strncmp(note, want, strlen(want)) == 0, "%s: the comment says '%s', expected '%s'", key->name,
                      note, want);
    }
    for (const struct bl_config_choice *choice = key->choices; choice != NULL && choice->text != NULL; choice++)
        ck_assert_msg(strstr(note, choice->text) != NULL, "%s: the comment does not say %s", key->name, choice->text);
}

/* Every key of the mapping is between @p from and @p to, once, with its note: in the text itself, or in its "#:" lines. */
static void check_keys(const struct bl_config_mapping *mapping, const char *from, const char *to, bool example)
{
    for (size_t i = 0; i < mapping->n_keys; i++) {
        const struct bl_config_key *key = &mapping->keys[i];
        const char *at = from;
        struct documented documented;
        size_t n = 0;

        while (next_key(&at, &documented) && documented.name < to) {
            if (documented.example != example || !is_named(&documented, key->name))
                continue;
            check_note(&documented, key);
            n++;
        }
        ck_assert_msg(n == 1, "%s is documented %zu times", key->name, n);
        if (key->element != NULL) {
            char start[80];
            const char *elements;

            (void)snprintf(start, sizeof(start), "#:%s:", key->name);
            elements = strstr(from, start);
            ck_assert_msg(elements != NULL && elements < to, "%s has no example", key->name);
            check_keys(key->element, line_end(elements), strstr(elements, "\n\n"), true);
        }
    }
}

START_TEST(every_key_is_in_the_sample_with_its_default)
{
    size_t n_sections;
    const struct bl_config_section *sections = bl_settings_schema(&n_sections);

    for (size_t i = 0; i < n_sections; i++) {
        char start[80];
        const char *from;
        const char *to;

        (void)snprintf(start, sizeof(start), "\n%s:\n", sections[i].name);
        from = strstr(sample, start);
        ck_assert_msg(from != NULL, "section %s is missing", sections[i].name);
        from = line_end(from + 1);
        for (to = from; *to != '\0'; to++) {
            if (to[0] == '\n' && islower((unsigned char)to[1]))
                break;
        }
        check_keys(&sections[i].mapping, from, to, false);
    }
}
END_TEST

/* The "#:" lines with their mark taken away, and without the lines of "[]" above them. */
START_TEST(the_examples_in_the_sample_work)
{
    char *text = malloc(strlen(sample) + 1);
    char *to = text;

    ck_assert_ptr_nonnull(text);
    for (const char *at = sample; *at != '\0';) {
        const char *end = line_end(at);
        size_t indent = strspn(at, " ");

        if (end - at < 3 || strncmp(end - 3, " []", 3) != 0) {
            if (strncmp(at + indent, "#:", 2) == 0) {
                memcpy(to, at, indent);
                to += indent;
                at += indent + 2;
            }
            memcpy(to, at, (size_t)(end - at) + 1);
            to += end - at + 1;
        }
        at = *end == '\0' ? end : end + 1;
    }
    *to = '\0';
    ck_assert_msg(load(text, 7) == BL_OK, "%s", detail.text);
    free(text);
    ck_assert_uint_eq(settings.controlplane.n_never_listed, 2);
    ck_assert_uint_eq(settings.controlplane.n_sources, 1);
    ck_assert_uint_eq(settings.controlplane.n_actors, 1);
    ck_assert_str_eq(settings.controlplane.actors[0].source, settings.controlplane.sources[0].name);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("settings");
    TCase *tests = tcase_create("settings");
    TCase *of_sample = tcase_create("sample");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, defaults_make_a_lab_work);
    tcase_add_test(tests, a_program_needs_its_own_section_only);
    tcase_add_test(tests, a_failed_load_changes_nothing);
    tcase_add_test(tests, lists_are_read);
    tcase_add_test(tests, ports_may_have_an_action);
    tcase_add_loop_test(tests, refusals_name_line_and_key, 0, (int)(sizeof(refusals) / sizeof(refusals[0])));
    tcase_add_test(tests, a_url_that_overflows_the_line_is_refused);
    tcase_add_test(tests, host_names);
    tcase_add_test(tests, role_names);
    suite_add_tcase(suite, of_sample);
    tcase_add_checked_fixture(of_sample, read_sample, free_sample);
    tcase_add_test(of_sample, the_sample_is_all_defaults);
    tcase_add_test(of_sample, every_key_is_in_the_sample_with_its_default);
    tcase_add_test(of_sample, the_examples_in_the_sample_work);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
