/* The schema of bounceline.yaml, and the checks that belong to meaning rather than to type; see settings.h.
 *
 * The sample dataplane/bounceline.yaml says what each key is for; tests/include/test_settings.c holds the two against
 * each other. What goes into an SMTP line (hostname, url) is checked here, so that no program can start with a name or a
 * URL that would break or overflow it. */
#include "bounceline/settings.h"

#include <stdlib.h>
#include <string.h>

#include "bounceline/config.h"
#include "bounceline/hostname.h"

/* struct sockaddr_un has 108 bytes. */
enum { SOCKET_PATH_MAX = 107 };

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static int check_hostname(const char *text, struct bl_error_detail *detail)
{
    if (bl_hostname_valid(text))
        return BL_OK;
    return bl_error_set(detail, BL_EINVAL,
                        "found '%.60s', expected a host name: letters, digits and hyphens in labels of 1 to 63, with "
                        "dots between them, at most %d bytes",
                        text, BL_HOSTNAME_MAX);
}

/* Names go to logs, to the wire and to the command line. */
static int check_name(const char *text, struct bl_error_detail *detail)
{
    const char *at = text;

    while (is_alphanumeric(*at) || *at == '-' || *at == '_' || *at == '.')
        at++;
    if (*at == '\0' && at != text)
        return BL_OK;
    return bl_error_set(detail, BL_EINVAL, "found '%.60s', expected a name of letters, digits, '-', '_' and '.'", text);
}

static int check_optional_name(const char *text, struct bl_error_detail *detail)
{
    return text[0] == '\0' ? BL_OK : check_name(text, detail);
}

/* What an update may name as its source (controlplane/policy_text.h): under another name nobody could list anything. */
static int check_source_name(const char *text, struct bl_error_detail *detail)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (*at >= 'A' && *at <= 'Z')
            return bl_error_set(detail, BL_EINVAL,
                                "found '%.60s', expected a source's name: a-z, 0-9, '.', '_' and '-'", text);
    }
    return check_name(text, detail);
}

static int check_optional_source_name(const char *text, struct bl_error_detail *detail)
{
    return text[0] == '\0' ? BL_OK : check_source_name(text, detail);
}

/* The forms of a port are port.c's to read; here it must be one word. */
static int check_port(const char *text, struct bl_error_detail *detail)
{
    if (text[0] != '\0' && strchr(text, ' ') == NULL)
        return BL_OK;
    return bl_error_set(detail, BL_EINVAL,
                        "found '%.60s', expected a port without spaces, such as eth1 or 0000:01:00.0", text);
}

/* A daemon's working directory is nobody's business. */
static int check_path(const char *text, struct bl_error_detail *detail)
{
    if (text[0] == '/')
        return BL_OK;
    return bl_error_set(detail, BL_EINVAL, "found '%.60s', expected a path that starts with /", text);
}

static int check_optional_path(const char *text, struct bl_error_detail *detail)
{
    return text[0] == '\0' ? BL_OK : check_path(text, detail);
}

static int check_socket(const char *text, struct bl_error_detail *detail)
{
    if (strlen(text) > SOCKET_PATH_MAX)
        return bl_error_set(detail, BL_ERANGE,
                            "found a path of %zu bytes, expected at most %d: a socket's name takes no more",
                            strlen(text), SOCKET_PATH_MAX);
    return check_path(text, detail);
}

/* The last colon parts host and port; an IPv6 address stands in brackets. */
static int check_host_port(const char *text, struct bl_error_detail *detail)
{
    const char *colon = strrchr(text, ':');
    size_t n_digits = colon == NULL ? 0 : strspn(colon + 1, "0123456789");
    unsigned long port =
        n_digits >= 1 && n_digits <= 5 && colon[1 + n_digits] == '\0' ? strtoul(colon + 1, NULL, 10) : 0;
    size_t length = colon == NULL ? 0 : (size_t)(colon - text);
    bool good = length > 0 && port >= 1 && port <= 65535;

    if (good && text[0] == '[')
        good = length > 2 && text[length - 1] == ']' && strspn(text + 1, "0123456789abcdefABCDEF:.") == length - 2;
    else if (good)
        good = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-.") == length;
    if (good)
        return BL_OK;
    return bl_error_set(detail, BL_EINVAL, "found '%.60s', expected HOST:PORT, such as 192.0.2.1:5025 or [::]:5025",
                        text);
}

static int check_optional_host_port(const char *text, struct bl_error_detail *detail)
{
    return text[0] == '\0' ? BL_OK : check_host_port(text, detail);
}

/* As controlplane/certificates.c writes the names that it reads. */
static int check_optional_san(const char *text, struct bl_error_detail *detail)
{
    bool dns = strncmp(text, "DNS:", 4) == 0;
    bool good = (dns || strncmp(text, "URI:", 4) == 0) && text[4] != '\0';

    for (const char *at = text + 4; good && *at != '\0'; at++)
        good = *at > ' ' && *at <= '~' && !(dns && (*at == '*' || (*at >= 'A' && *at <= 'Z')));
    if (good || text[0] == '\0')
        return BL_OK;
    return bl_error_set(detail, BL_EINVAL,
                        "found '%.60s', expected a whole name of a certificate, such as DNS:feed1.example.net (lower "
                        "case) or URI:spiffe://example.net/feed1",
                        text);
}

static int check_optional_endpoint(const char *text, struct bl_error_detail *detail)
{
    struct bl_address address;
    uint16_t port;

    return text[0] == '\0' ? BL_OK : bl_address_parse_endpoint(text, &address, &port, detail);
}

/* EAL's own syntax; EAL reads it. This keeps spaces and further options out. */
static int check_lcores(const char *text, struct bl_error_detail *detail)
{
    if (text[strspn(text, "0123456789,@()-")] == '\0')
        return BL_OK;
    return bl_error_set(detail, BL_EINVAL, "found '%.60s', expected EAL's lcore list, such as 0@0,1@2,2@4", text);
}

static int check_url(const char *text, struct bl_error_detail *detail)
{
    static const char prefix[] = "url: ";
    struct bl_class class = {.code = BL_CLASS_CODE_MAX, .action = BL_ACTION_REJECT};
    struct bl_error_detail cause;
    const char *said = cause.text;
    int error;

    if (strlen(text) > BL_CLASS_URL_MAX)
        return bl_error_set(detail, BL_ERANGE, "found %zu bytes, expected at most %d", strlen(text), BL_CLASS_URL_MAX);
    memcpy(class.url, text, strlen(text) + 1);
    error = bl_class_validate(&class, &cause);
    if (error == BL_OK)
        return BL_OK;
    if (strncmp(said, prefix, sizeof(prefix) - 1) == 0)
        said += sizeof(prefix) - 1; /* the key's name stands in front already */
    return bl_error_set(detail, error, "found '%.60s': %s", text, said);
}

/* What links in mails begin with: no path of its own but the last slash is cut by nobody, so there is none. */
static int check_base_url(const char *text, struct bl_error_detail *detail)
{
    size_t length = strlen(text);

    if ((strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0) && text[length - 1] != '/' &&
        strpbrk(text, " \"'<>\\?#&") == NULL)
        return BL_OK;
    return bl_error_set(detail, BL_EINVAL,
                        "found '%.60s', expected https://HOST or http://HOST:PORT, without a slash at the end", text);
}

static int check_listen(const char *text, struct bl_error_detail *detail)
{
    struct bl_address address;
    uint16_t port;

    if (strncmp(text, "unix:", 5) == 0)
        return check_socket(text + 5, detail);
    if (bl_address_parse_endpoint(text, &address, &port, NULL) == BL_OK)
        return BL_OK;
    return bl_error_set(
        detail, BL_EINVAL,
        "found '%.60s', expected unix:/PATH or an address and port, such as 127.0.0.1:8025 or [::1]:8025", text);
}

static int check_optional_listen(const char *text, struct bl_error_detail *detail)
{
    return text[0] == '\0' ? BL_OK : check_listen(text, detail);
}

static int check_mail_server(const char *text, struct bl_error_detail *detail)
{
    if ((strncmp(text, "smtp://", 7) == 0 && text[7] != '\0') || (strncmp(text, "smtps://", 8) == 0 && text[8] != '\0'))
        return BL_OK;
    return bl_error_set(detail, BL_EINVAL, "found '%.60s', expected smtp://HOST:PORT or smtps://HOST:PORT", text);
}

/* Goes into headers and pages. */
static int check_mail_address(const char *text, struct bl_error_detail *detail)
{
    const char *at = strrchr(text, '@');

    if (at != NULL && at != text && bl_hostname_valid(at + 1) && strpbrk(text, " \"'<>\\&,;:") == NULL)
        return BL_OK;
    return bl_error_set(detail, BL_EINVAL, "found '%.60s', expected a mail address: NAME@HOST", text);
}

static int check_optional_mail_address(const char *text, struct bl_error_detail *detail)
{
    return text[0] == '\0' ? BL_OK : check_mail_address(text, detail);
}

/* Stands in a header without quotes. */
static int check_operator_name(const char *text, struct bl_error_detail *detail)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (!is_alphanumeric(*at) && strchr(" -.'", *at) == NULL)
            return bl_error_set(detail, BL_EINVAL, "found '%.60s', expected letters, digits, spaces, - . and '", text);
    }
    return text[0] != '\0' ? BL_OK : bl_error_set(detail, BL_EINVAL, "found nothing, expected a name");
}

static int check_optional_url(const char *text, struct bl_error_detail *detail)
{
    return text[0] == '\0' ? BL_OK : check_url(text, detail);
}

static const struct bl_config_choice actions[] = {{"reject", BL_ACTION_REJECT},
                                                  {"reset", BL_ACTION_RESET},
                                                  {"drop", BL_ACTION_DROP},
                                                  {"monitor", BL_ACTION_MONITOR},
                                                  {0}};

enum { PORT_SMTP_IN_TLS = 465 };

/* @return enum bl_action; BL_ACTION_NONE for anything else. */
static uint8_t action_of(const char *text)
{
    for (const struct bl_config_choice *choice = actions; choice->text != NULL; choice++) {
        if (strcmp(text, choice->text) == 0)
            return (uint8_t)choice->value;
    }
    return BL_ACTION_NONE;
}

/* "25", or "465:reset": with what stands in for the 550 there. */
static int parse_protected_port(const char *text, void *element, struct bl_error_detail *detail)
{
    struct bl_settings_port *out = element;
    size_t n_digits = strspn(text, "0123456789");
    unsigned long port = n_digits > 0 && n_digits <= 5 ? strtoul(text, NULL, 10) : 0;
    uint8_t action = BL_ACTION_REJECT;

    if (text[n_digits] == ':')
        action = action_of(text + n_digits + 1);
    else if (text[n_digits] != '\0')
        action = BL_ACTION_NONE;
    if (port < 1 || port > 65535 || text[0] == '0' || action == BL_ACTION_NONE)
        return bl_error_set(detail, port > 65535 ? BL_ERANGE : BL_EINVAL,
                            "found '%.60s', expected a port 1..65535, or one with what stands in for the 550 there: "
                            "PORT:reset, PORT:drop or PORT:monitor",
                            text);
    if (port == PORT_SMTP_IN_TLS && action == BL_ACTION_REJECT)
        return bl_error_set(detail, BL_EINVAL,
                            "found '%.60s', expected 465:reset, 465:drop or 465:monitor: behind TLS nobody would see "
                            "the 550",
                            text);
    *out = (struct bl_settings_port){(uint16_t)port, action};
    return BL_OK;
}

/* An IPv6 address without a length would mean a unit that another key sets: here it must say its length. */
static int parse_own_network(const char *text, void *element, struct bl_error_detail *detail)
{
    if (strchr(text, ':') != NULL && strchr(text, '/') == NULL)
        return bl_error_set(detail, BL_EINVAL, "found '%.60s', expected a length behind an IPv6 address, such as /64",
                            text);
    return bl_address_parse_prefix(text, 128, element, detail);
}

/* "192.0.2.53", "2001:db8::53", or with a port: "192.0.2.53:5353", "[2001:db8::53]:5353". */
static int parse_resolver(const char *text, void *element, struct bl_error_detail *detail)
{
    struct bl_settings_resolver *resolver = element;

    resolver->port = 53;
    if (bl_address_parse(text, &resolver->address, NULL) == BL_OK ||
        bl_address_parse_endpoint(text, &resolver->address, &resolver->port, NULL) == BL_OK)
        return BL_OK;
    return bl_error_set(detail, BL_EINVAL, "found '%.60s', expected an address, or an address and port", text);
}

static const struct bl_config_choice polls[] = {{"adaptive", BL_POLL_ADAPTIVE}, {"busy", BL_POLL_BUSY}, {0}};
static const struct bl_config_choice stages[] = {{"rcpt", BL_STAGE_RCPT}, {"mail", BL_STAGE_MAIL}, {0}};
static const struct bl_config_choice starttls[] = {{"hide", BL_STARTTLS_HIDE}, {"refuse", BL_STARTTLS_REFUSE}, {0}};
static const struct bl_config_choice hugepages[] = {
    {"auto", BL_HUGEPAGES_AUTO}, {"on", BL_HUGEPAGES_ON}, {"off", BL_HUGEPAGES_OFF}, {0}};
static const struct bl_config_choice established[] = {
    {"pass", BL_ESTABLISHED_PASS}, {"reset", BL_ESTABLISHED_RESET}, {"drop", BL_ESTABLISHED_DROP}, {0}};
static const struct bl_config_choice ticket_uses[] = {
    {"off", BL_TICKET_USE_OFF}, {"optional", BL_TICKET_USE_OPTIONAL}, {"required", BL_TICKET_USE_REQUIRED}, {0}};
static const struct bl_config_choice audits[] = {{"hashed", BL_AUDIT_HASHED}, {"clear", BL_AUDIT_CLEAR}, {0}};
static const struct bl_config_choice roles[] = {{"reader", BL_ROLE_READER},
                                                {"delister", BL_ROLE_DELISTER},
                                                {"feeder", BL_ROLE_FEEDER},
                                                {"admin", BL_ROLE_ADMIN},
                                                {0}};
static const struct bl_config_choice socket_roles[] = {{"any", BL_ROLE_NONE},          {"reader", BL_ROLE_READER},
                                                       {"delister", BL_ROLE_DELISTER}, {"feeder", BL_ROLE_FEEDER},
                                                       {"admin", BL_ROLE_ADMIN},       {0}};

/* Where a key's value goes; a list's first element and its count. */
#define PLACE(type, member) .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)
#define LIST(type, member) \
    .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member[0]), \
    .count_offset = offsetof(struct type, n_##member), \
    .n_elements_max = sizeof(((struct type *)0)->member) / sizeof(((struct type *)0)->member[0])

#define PLACE_D(member) PLACE(bl_settings_dataplane, member)
#define PLACE_C(member) PLACE(bl_settings_controlplane, member)
#define PLACE_S(member) PLACE(bl_settings_source, member)
#define PLACE_U(member) PLACE(bl_settings_socket, member)
#define PLACE_A(member) PLACE(bl_settings_actor, member)

static const struct bl_config_key dataplane_keys[] = {
    {"name", BL_CONFIG_TEXT, PLACE_D(name), .initial = "dataplane", .check = check_name},
    {"wan", BL_CONFIG_TEXT, PLACE_D(wan), .required = true, .check = check_port},
    {"lan", BL_CONFIG_TEXT, PLACE_D(lan), .required = true, .check = check_port},
    {"hostname", BL_CONFIG_TEXT, PLACE_D(hostname), .required = true, .check = check_hostname},
    {"protected_ports", BL_CONFIG_ITEMS, LIST(bl_settings_dataplane, protected_ports), .initial = "25",
     .parse = parse_protected_port},
    {"protected_prefixes", BL_CONFIG_ITEMS, LIST(bl_settings_dataplane, protected_prefixes),
     .parse = parse_own_network},
    {"stage", BL_CONFIG_ENUM, PLACE_D(stage), .initial = "rcpt", .choices = stages},
    {"starttls", BL_CONFIG_ENUM, PLACE_D(starttls), .initial = "hide", .choices = starttls},
    {"established", BL_CONFIG_ENUM, PLACE_D(established), .initial = "pass", .choices = established},
    {"cookie_key_file", BL_CONFIG_TEXT, PLACE_D(cookie_key_file), .check = check_optional_path},
    {"ticket_key_file", BL_CONFIG_TEXT, PLACE_D(ticket_key_file), .check = check_optional_path},
    {"table_file", BL_CONFIG_TEXT, PLACE_D(table_file), .initial = "/var/lib/bounceline-dataplane/table",
     .check = check_optional_path},
    {"table_file_s", BL_CONFIG_INTEGER, PLACE_D(table_file_s), .initial = "30", .min = 1, .max = 86400},
    {"established_per_s", BL_CONFIG_INTEGER, PLACE_D(established_per_s), .initial = "20000", .max = 10000000},
    {"resets_per_s", BL_CONFIG_INTEGER, PLACE_D(resets_per_s), .initial = "1000", .max = 10000000},
    {"answers_per_s", BL_CONFIG_INTEGER, PLACE_D(answers_per_s), .initial = "0", .max = 100000000},
    {"resends_per_s", BL_CONFIG_INTEGER, PLACE_D(resends_per_s), .initial = "1000", .max = 10000000},
    {"resend_entries", BL_CONFIG_INTEGER, PLACE_D(resend_entries), .initial = "16384", .max = 1048576},
    {"sync_socket", BL_CONFIG_TEXT, PLACE_D(sync_socket), .initial = "/run/bounceline/sync.sock",
     .check = check_socket},
    {"link_propagate", BL_CONFIG_BOOL, PLACE_D(link_propagate), .initial = "false"},
    {"workers", BL_CONFIG_INTEGER, PLACE_D(workers), .initial = "1", .min = 1, .max = 64},
    {"lcores", BL_CONFIG_TEXT, PLACE_D(lcores), .check = check_lcores},
    {"poll", BL_CONFIG_ENUM, PLACE_D(poll), .initial = "adaptive", .choices = polls},
    {"idle_sleep_us", BL_CONFIG_INTEGER, PLACE_D(idle_sleep_us), .initial = "160", .min = 5, .max = 10000},
    {"hugepages", BL_CONFIG_ENUM, PLACE_D(hugepages), .initial = "auto", .choices = hugepages},
    {"memory_mb", BL_CONFIG_INTEGER, PLACE_D(memory_mb), .initial = "512", .min = 64, .max = 1048576},
    {"frame_bytes", BL_CONFIG_INTEGER, PLACE_D(frame_bytes), .initial = "2048", .min = 1522, .max = 16128},
    {"rx_descriptors", BL_CONFIG_INTEGER, PLACE_D(rx_descriptors), .initial = "512", .min = 64, .max = 32768},
    {"tx_descriptors", BL_CONFIG_INTEGER, PLACE_D(tx_descriptors), .initial = "512", .min = 64, .max = 32768},
    {"forward_buffers", BL_CONFIG_INTEGER, PLACE_D(forward_buffers), .initial = "16384", .min = 1024, .max = 16777216},
    {"reply_buffers", BL_CONFIG_INTEGER, PLACE_D(reply_buffers), .initial = "2048", .min = 64, .max = 1048576},
    {"patch_step_bytes", BL_CONFIG_INTEGER, PLACE_D(patch_step_bytes), .initial = "4096", .min = 64, .max = 1048576},
    {"reject_samples_per_s", BL_CONFIG_INTEGER, PLACE_D(reject_samples_per_s), .initial = "100", .min = 0,
     .max = 10000},
};

static const struct bl_config_key source_keys[] = {
    {"name", BL_CONFIG_TEXT, PLACE_S(name), .required = true, .check = check_source_name},
    {"code", BL_CONFIG_INTEGER, PLACE_S(code), .required = true, .min = BL_CLASS_CODE_MIN, .max = BL_CLASS_CODE_MAX},
    {"action", BL_CONFIG_ENUM, PLACE_S(action), .initial = "reject", .choices = actions},
    {"self_service", BL_CONFIG_BOOL, PLACE_S(self_service), .initial = "true"},
    {"url", BL_CONFIG_TEXT, PLACE_S(url), .check = check_optional_url},
};

static const struct bl_config_key actor_keys[] = {
    {"name", BL_CONFIG_TEXT, PLACE_A(name), .required = true, .check = check_name},
    {"uid", BL_CONFIG_INTEGER, PLACE_A(uid), .initial = "4294967295", .min = 0, .max = BL_SETTINGS_NO_UID},
    {"user", BL_CONFIG_TEXT, PLACE_A(user), .check = check_optional_name},
    {"group", BL_CONFIG_TEXT, PLACE_A(group), .check = check_optional_name},
    {"san", BL_CONFIG_TEXT, PLACE_A(san), .check = check_optional_san, .reload = true},
    {"role", BL_CONFIG_ENUM, PLACE_A(role), .required = true, .choices = roles},
    {"source", BL_CONFIG_TEXT, PLACE_A(source), .check = check_optional_source_name},
    {"updates_per_s", BL_CONFIG_INTEGER, PLACE_A(updates_per_s), .initial = "0", .max = 1000000000},
    {"updates_per_minute", BL_CONFIG_INTEGER, PLACE_A(updates_per_minute), .initial = "0", .max = 1000000000},
    {"updates_per_day", BL_CONFIG_INTEGER, PLACE_A(updates_per_day), .initial = "0", .max = 1000000000},
    {"calls_max", BL_CONFIG_INTEGER, PLACE_A(calls_max), .initial = "128", .max = 512},
    {"streams_max", BL_CONFIG_INTEGER, PLACE_A(streams_max), .initial = "16", .max = 512},
    {"in_flight_mb", BL_CONFIG_INTEGER, PLACE_A(in_flight_mb), .initial = "64", .max = 128},
};

static const struct bl_config_key socket_keys[] = {
    {"path", BL_CONFIG_TEXT, PLACE_U(path), .required = true, .check = check_socket},
    {"owner", BL_CONFIG_TEXT, PLACE_U(owner), .check = check_optional_name},
    {"group", BL_CONFIG_TEXT, PLACE_U(group), .check = check_optional_name},
    {"mode", BL_CONFIG_OCTAL, PLACE_U(mode), .initial = "0660", .max = 0777},
    {"role", BL_CONFIG_ENUM, PLACE_U(role), .initial = "any", .choices = socket_roles},
};

static int refuse_for(const char **key, const char *name, struct bl_error_detail *detail, const char *cause)
{
    *key = name;
    return bl_error_set(detail, BL_EINVAL, "%s", cause);
}

static int check_ports_differ(const struct bl_settings_dataplane *dataplane, const char **key,
                              struct bl_error_detail *detail)
{
    for (uint32_t i = 1; i < dataplane->n_protected_ports; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (dataplane->protected_ports[i].port != dataplane->protected_ports[j].port)
                continue;
            *key = "protected_ports";
            return bl_error_set(detail, BL_EINVAL, "found '%u' twice", dataplane->protected_ports[i].port);
        }
    }
    return BL_OK;
}

static int check_dataplane(const void *elements, size_t index, const char **key, struct bl_error_detail *detail)
{
    const struct bl_settings_dataplane *dataplane = elements;

    (void)index;
    if (strcmp(dataplane->wan, dataplane->lan) == 0)
        return refuse_for(key, "lan", detail, "found the port of wan, expected another one");
    if (dataplane->n_protected_ports == 0)
        return refuse_for(key, "protected_ports", detail, "found no port, expected at least one");
    return check_ports_differ(dataplane, key, detail);
}

static int check_source(const void *elements, size_t index, const char **key, struct bl_error_detail *detail)
{
    const struct bl_settings_source *sources = elements;

    if (strcmp(sources[index].name, BL_SETTINGS_OPERATOR) == 0)
        return refuse_for(key, "name", detail, "found 'operator', expected another name: it is the operators' own");
    for (size_t i = 0; i < index; i++) {
        if (strcmp(sources[i].name, sources[index].name) == 0)
            return refuse_for(key, "name", detail, "found the name of a source above, expected one of its own");
    }
    return BL_OK;
}

static int check_actor(const void *elements, size_t index, const char **key, struct bl_error_detail *detail)
{
    const struct bl_settings_actor *actors = elements;
    const struct bl_settings_actor *actor = &actors[index];

    if (actor->role == BL_ROLE_FEEDER && actor->source[0] == '\0')
        return refuse_for(key, "source", detail, "found nothing, expected the source that this feeder speaks for");
    if (actor->role != BL_ROLE_FEEDER && actor->source[0] != '\0')
        return refuse_for(key, "source", detail, "found a source, expected none: only a feeder has one");
    if (strcmp(actor->source, BL_SETTINGS_OPERATOR) == 0)
        return refuse_for(key, "source", detail, "found 'operator', expected a feed's name: role admin speaks for it");
    if ((actor->uid != BL_SETTINGS_NO_UID) + (actor->user[0] != '\0') + (actor->group[0] != '\0') +
            (actor->san[0] != '\0') !=
        1)
        return refuse_for(key, "uid", detail, "expected exactly one of uid, user, group and san");
    for (size_t i = 0; i < index; i++) {
        if (strcmp(actors[i].name, actor->name) == 0)
            return refuse_for(key, "name", detail, "found the name of an actor above, expected one of its own");
        if (actors[i].uid == actor->uid && actor->uid != BL_SETTINGS_NO_UID)
            return refuse_for(key, "uid", detail, "found the uid of an actor above, expected one of its own");
        if (strcmp(actors[i].san, actor->san) == 0 && actor->san[0] != '\0')
            return refuse_for(key, "san", detail, "found the san of an actor above, expected one of its own");
    }
    return BL_OK;
}

static int check_controlplane(const void *elements, size_t index, const char **key, struct bl_error_detail *detail)
{
    const struct bl_settings_controlplane *controlplane = elements;

    (void)index;
    if (strcmp(controlplane->socket, controlplane->sync_socket) == 0)
        return refuse_for(key, "sync_socket", detail, "found the path of socket, expected another one");
    /* What the window counts is kept in the delist. */
    if (controlplane->self_service_days > controlplane->delist_days)
        return refuse_for(key, "self_service_days", detail, "found more than delist_days, expected at most as many");
    for (uint32_t i = 0; i < controlplane->n_sockets; i++) {
        const char *path = controlplane->sockets[i].path;

        if (strcmp(path, controlplane->socket) == 0 || strcmp(path, controlplane->sync_socket) == 0)
            return refuse_for(key, "sockets", detail, "found the path of socket or sync_socket, expected another one");
    }
    if (controlplane->tls_listen[0] != '\0' &&
        (controlplane->tls_certificate_file[0] == '\0' || controlplane->tls_key_file[0] == '\0' ||
         controlplane->tls_client_ca_file[0] == '\0'))
        return refuse_for(key, "tls_listen", detail,
                          "expected tls_certificate_file, tls_key_file and tls_client_ca_file with it");
    return BL_OK;
}

static int check_client(const void *elements, size_t index, const char **key, struct bl_error_detail *detail)
{
    const struct bl_settings_client *client = elements;

    (void)index;
    if (client->connect[0] != '\0' &&
        (client->certificate_file[0] == '\0' || client->key_file[0] == '\0' || client->ca_file[0] == '\0'))
        return refuse_for(key, "connect", detail, "expected certificate_file, key_file and ca_file with it");
    return BL_OK;
}

static int check_sockets(const void *elements, size_t index, const char **key, struct bl_error_detail *detail)
{
    const struct bl_settings_socket *sockets = elements;

    for (size_t i = 0; i < index; i++) {
        if (strcmp(sockets[i].path, sockets[index].path) == 0)
            return refuse_for(key, "path", detail, "found the path of a socket above, expected one of its own");
    }
    return BL_OK;
}

#define MAPPING(type, table, function) \
    { \
        table, sizeof(table) / sizeof(table[0]), sizeof(struct type), function \
    }

static const struct bl_config_mapping source_mapping = MAPPING(bl_settings_source, source_keys, check_source);
static const struct bl_config_mapping socket_mapping = MAPPING(bl_settings_socket, socket_keys, check_sockets);
static const struct bl_config_mapping actor_mapping = MAPPING(bl_settings_actor, actor_keys, check_actor);

static const struct bl_config_key controlplane_keys[] = {
    {"socket", BL_CONFIG_TEXT, PLACE_C(socket), .initial = "/run/bounceline/control.sock", .check = check_socket},
    {"socket_mode", BL_CONFIG_OCTAL, PLACE_C(socket_mode), .initial = "0660", .max = 0777},
    {"sockets", BL_CONFIG_MAPPINGS, LIST(bl_settings_controlplane, sockets), .element = &socket_mapping},
    {"sync_socket", BL_CONFIG_TEXT, PLACE_C(sync_socket), .initial = "/run/bounceline/sync.sock",
     .check = check_socket},
    {"tls_listen", BL_CONFIG_TEXT, PLACE_C(tls_listen), .check = check_optional_host_port},
    {"tls_certificate_file", BL_CONFIG_TEXT, PLACE_C(tls_certificate_file), .check = check_optional_path,
     .reload = true},
    {"tls_key_file", BL_CONFIG_TEXT, PLACE_C(tls_key_file), .check = check_optional_path, .reload = true},
    {"tls_client_ca_file", BL_CONFIG_TEXT, PLACE_C(tls_client_ca_file), .check = check_optional_path, .reload = true},
    {"tls_crl_file", BL_CONFIG_TEXT, PLACE_C(tls_crl_file), .check = check_optional_path, .reload = true},
    {"data_directory", BL_CONFIG_TEXT, PLACE_C(data_directory), .initial = "/var/lib/bounceline", .check = check_path},
    {"user", BL_CONFIG_TEXT, PLACE_C(user), .check = check_optional_name},
    {"url", BL_CONFIG_TEXT, PLACE_C(url), .required = true, .check = check_url},
    {"code", BL_CONFIG_INTEGER, PLACE_C(code), .initial = "606", .min = BL_CLASS_CODE_MIN, .max = BL_CLASS_CODE_MAX},
    {"ipv6_unit", BL_CONFIG_INTEGER, PLACE_C(ipv6_unit), .initial = "64", .min = 48, .max = 128},
    {"delist_days", BL_CONFIG_DURATION, PLACE_C(delist_days), .initial = "30", .min = 1, .max = 3650,
     .unit = BL_CONFIG_UNIT_DAYS},
    {"delist_grace_s", BL_CONFIG_DURATION, PLACE_C(delist_grace_s), .initial = "300", .min = 0, .max = 604800,
     .unit = BL_CONFIG_UNIT_S},
    {"self_service_delists", BL_CONFIG_INTEGER, PLACE_C(self_service_delists), .initial = "3", .min = 1, .max = 16},
    {"self_service_days", BL_CONFIG_DURATION, PLACE_C(self_service_days), .initial = "30", .min = 1, .max = 3650,
     .unit = BL_CONFIG_UNIT_DAYS},
    {"hold_percent", BL_CONFIG_INTEGER, PLACE_C(hold_percent), .initial = "5", .min = 1, .max = 100},
    {"hold_floor_addresses", BL_CONFIG_INTEGER, PLACE_C(hold_floor_addresses), .initial = "1024", .min = 0,
     .max = 4294967296},
    {"expiry_hold_percent", BL_CONFIG_INTEGER, PLACE_C(expiry_hold_percent), .initial = "10", .min = 1, .max = 100},
    {"never_listed", BL_CONFIG_ITEMS, LIST(bl_settings_controlplane, never_listed), .parse = parse_own_network},
    {"sources", BL_CONFIG_MAPPINGS, LIST(bl_settings_controlplane, sources), .element = &source_mapping},
    {"actors", BL_CONFIG_MAPPINGS, LIST(bl_settings_controlplane, actors), .element = &actor_mapping},
    {"retry_window", BL_CONFIG_INTEGER, PLACE_C(retry_window), .initial = "65536", .min = 1, .max = 4194304},
    {"snapshot_records", BL_CONFIG_INTEGER, PLACE_C(snapshot_records), .initial = "100000", .min = 1,
     .max = 1000000000},
    {"log_kept_days", BL_CONFIG_DURATION, PLACE_C(log_kept_days), .initial = "366", .min = 0, .max = 36500,
     .unit = BL_CONFIG_UNIT_DAYS},
    {"idle_s", BL_CONFIG_INTEGER, PLACE_C(idle_s), .initial = "600", .min = 1, .max = 86400},
    {"commit_batches_max", BL_CONFIG_INTEGER, PLACE_C(commit_batches_max), .initial = "256", .min = 1, .max = 4096},
    {"rejects_kept", BL_CONFIG_INTEGER, PLACE_C(rejects_kept), .initial = "16384", .min = 16, .max = 1048576},
    {"rejects_file", BL_CONFIG_TEXT, PLACE_C(rejects_file), .check = check_optional_path},
    {"rejects_file_mb", BL_CONFIG_INTEGER, PLACE_C(rejects_file_mb), .initial = "64", .min = 1, .max = 1048576},
    {"rejects_files", BL_CONFIG_INTEGER, PLACE_C(rejects_files), .initial = "8", .min = 1, .max = 100},
    {"metrics", BL_CONFIG_TEXT, PLACE_C(metrics), .check = check_optional_endpoint},
};

/* The command line reads the file at each run. */
static const struct bl_config_key client_keys[] = {
    {"socket", BL_CONFIG_TEXT, PLACE(bl_settings_client, socket), .initial = "/run/bounceline/control.sock",
     .check = check_socket, .reload = true},
    {"connect", BL_CONFIG_TEXT, PLACE(bl_settings_client, connect), .check = check_optional_host_port, .reload = true},
    {"certificate_file", BL_CONFIG_TEXT, PLACE(bl_settings_client, certificate_file), .check = check_optional_path,
     .reload = true},
    {"key_file", BL_CONFIG_TEXT, PLACE(bl_settings_client, key_file), .check = check_optional_path, .reload = true},
    {"ca_file", BL_CONFIG_TEXT, PLACE(bl_settings_client, ca_file), .check = check_optional_path, .reload = true},
    {"deadline_ms", BL_CONFIG_DURATION, PLACE(bl_settings_client, deadline_ms), .initial = "5000", .min = 1,
     .max = 600000, .unit = BL_CONFIG_UNIT_MS, .reload = true},
};

#define PLACE_P(member) PLACE(bl_settings_portal, member)

static const struct bl_config_key portal_keys[] = {
    {"base_url", BL_CONFIG_TEXT, PLACE_P(base_url), .required = true, .check = check_base_url},
    {"mail_from", BL_CONFIG_TEXT, PLACE_P(mail_from), .required = true, .check = check_mail_address},
    {"contact", BL_CONFIG_TEXT, PLACE_P(contact), .required = true, .check = check_mail_address},
    {"operator_name", BL_CONFIG_TEXT, PLACE_P(operator_name), .initial = "Bounceline", .check = check_operator_name},
    {"mail_server", BL_CONFIG_TEXT, PLACE_P(mail_server), .initial = "smtp://127.0.0.1:25", .check = check_mail_server},
    {"envelope_from", BL_CONFIG_TEXT, PLACE_P(envelope_from), .check = check_optional_mail_address},
    {"listen", BL_CONFIG_TEXT, PLACE_P(listen), .initial = "127.0.0.1:8025", .check = check_listen},
    {"operator_listen", BL_CONFIG_TEXT, PLACE_P(operator_listen), .check = check_optional_listen},
    {"trusted_proxies", BL_CONFIG_ITEMS, LIST(bl_settings_portal, trusted_proxies), .initial = "127.0.0.0/8",
     .parse = parse_own_network},
    {"socket", BL_CONFIG_TEXT, PLACE_P(socket), .initial = "/run/bounceline/control.sock", .check = check_socket},
    {"deadline_ms", BL_CONFIG_DURATION, PLACE_P(deadline_ms), .initial = "3000", .min = 100, .max = 30000,
     .unit = BL_CONFIG_UNIT_MS},
    {"data_directory", BL_CONFIG_TEXT, PLACE_P(data_directory), .initial = "/var/lib/bounceline-portal",
     .check = check_path},
    {"user", BL_CONFIG_TEXT, PLACE_P(user), .check = check_optional_name},
    {"ticket", BL_CONFIG_ENUM, PLACE_P(ticket), .initial = "optional", .choices = ticket_uses},
    {"ticket_key_file", BL_CONFIG_TEXT, PLACE_P(ticket_key_file), .check = check_optional_path},
    {"link_lifetime_s", BL_CONFIG_DURATION, PLACE_P(link_lifetime_s), .initial = "3600", .min = 60, .max = 86400,
     .unit = BL_CONFIG_UNIT_S},
    {"mails_per_address_day", BL_CONFIG_INTEGER, PLACE_P(mails_per_address_day), .initial = "3", .min = 1, .max = 1000},
    {"requests_per_source_hour", BL_CONFIG_INTEGER, PLACE_P(requests_per_source_hour), .initial = "5", .min = 1,
     .max = 1000000},
    {"requests_per_network_hour", BL_CONFIG_INTEGER, PLACE_P(requests_per_network_hour), .initial = "50", .min = 1,
     .max = 1000000},
    {"requests_per_hour", BL_CONFIG_INTEGER, PLACE_P(requests_per_hour), .initial = "1000", .min = 1, .max = 10000000},
    {"work_bits", BL_CONFIG_INTEGER, PLACE_P(work_bits), .initial = "16", .max = 24},
    {"delay_s", BL_CONFIG_DURATION, PLACE_P(delay_s), .initial = "20", .max = 3600, .unit = BL_CONFIG_UNIT_S},
    {"audit", BL_CONFIG_ENUM, PLACE_P(audit), .initial = "hashed", .choices = audits},
    {"range_addresses", BL_CONFIG_INTEGER, PLACE_P(range_addresses), .initial = "256", .max = 256},
    {"reverse_names", BL_CONFIG_BOOL, PLACE_P(reverse_names), .initial = "false"},
    {"resolvers", BL_CONFIG_ITEMS, LIST(bl_settings_portal, resolvers), .parse = parse_resolver},
    {"resolver_timeout_ms", BL_CONFIG_DURATION, PLACE_P(resolver_timeout_ms), .initial = "2000", .min = 100,
     .max = 10000, .unit = BL_CONFIG_UNIT_MS},
};

static int check_portal(const void *elements, size_t index, const char **key, struct bl_error_detail *detail)
{
    const struct bl_settings_portal *portal = elements;

    (void)index;
    if (portal->ticket == BL_TICKET_USE_REQUIRED && portal->ticket_key_file[0] == '\0')
        return refuse_for(key, "ticket_key_file", detail,
                          "found nothing, expected the data planes' file: no ticket could be verified");
    return BL_OK;
}

static const struct bl_config_section sections[] = {
    {"dataplane", BL_SETTINGS_DATAPLANE, offsetof(struct bl_settings, dataplane),
     MAPPING(bl_settings_dataplane, dataplane_keys, check_dataplane)},
    {"controlplane", BL_SETTINGS_CONTROLPLANE, offsetof(struct bl_settings, controlplane),
     MAPPING(bl_settings_controlplane, controlplane_keys, check_controlplane)},
    {"client", BL_SETTINGS_CLIENT, offsetof(struct bl_settings, client),
     MAPPING(bl_settings_client, client_keys, check_client)},
    {"portal", BL_SETTINGS_PORTAL, offsetof(struct bl_settings, portal),
     MAPPING(bl_settings_portal, portal_keys, check_portal)},
};

enum { N_SECTIONS = sizeof(sections) / sizeof(sections[0]) };

_Static_assert(sizeof(dataplane_keys) / sizeof(dataplane_keys[0]) <= BL_CONFIG_KEYS_MAX, "the reader counts so many");
_Static_assert(sizeof(controlplane_keys) / sizeof(controlplane_keys[0]) <= BL_CONFIG_KEYS_MAX, "as above");

const struct bl_config_section *bl_settings_schema(size_t *n)
{
    *n = N_SECTIONS;
    return sections;
}

void bl_settings_init(struct bl_settings *out)
{
    memset(out, 0, sizeof(*out));
    bl_config_init(sections, N_SECTIONS, out);
}

int bl_settings_load(const char *path, unsigned needed, struct bl_settings *out, struct bl_error_detail *detail)
{
    struct bl_settings *settings = calloc(1, sizeof(*settings));
    struct bl_config_source source = {.name = path};
    char *text = NULL;
    int error;

    if (settings == NULL)
        return bl_error_set(detail, BL_ENOMEM, "%s: out of memory", path);
    error = bl_config_read_file(path, &text, &source.length, detail);
    if (error == BL_OK) {
        source.text = text;
        error = bl_config_parse(sections, N_SECTIONS, needed, &source, settings, detail);
    }
    if (error == BL_OK)
        *out = *settings;
    free(text);
    free(settings);
    return error;
}

const char *bl_settings_role_text(enum bl_role role)
{
    for (const struct bl_config_choice *choice = roles; choice->text != NULL; choice++) {
        if (choice->value == (uint32_t)role)
            return choice->text;
    }
    return "none";
}
