/* Asks the library what a case of the suite `parity` asks, and shows each of its verbs:
 *
 *   parity ROOT     with the words of one question on standard input, one a line:
 *
 *     status|doctor|log|usage [APP...] check [APP]      guard APP      operation ID      recover|candidates
 *     plan|keep|apply|run VERB [APP|OPTION=VALUE...]                  load ID
 *
 * `keep` saves the plan, `apply` applies it, and `load` applies one that was kept. The answer is one line of JSON: what was told, and
 * which events there were; or the error. */

#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "datastore.h"
#include "demand.h"

enum { MOST = 32 };

static datastore_text_t words[MOST];
static size_t count;

/* The kinds of events that there were, each once. */
static char events[256];

static void print_text(datastore_text_t text) {
  putchar('"');
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.data[i];
    if (c == '"' || c == '\\') {
      printf("\\%c", c);
    } else if (c < 0x20) {
      printf("\\u%04x", c);
    } else {
      putchar(c);
    }
  }
  putchar('"');
}

static void print_value(const datastore_value_t *value) {
  size_t len = datastore_value_len(value);
  switch (datastore_value_kind(value)) {
    case DATASTORE_BOOL:
      fputs(datastore_value_bool(value) ? "true" : "false", stdout);
      break;
    case DATASTORE_INT:
      printf("%" PRId64, datastore_value_int(value));
      break;
    case DATASTORE_FLOAT:
      printf("%.17g", datastore_value_float(value));
      break;
    case DATASTORE_TEXT:
      print_text(datastore_value_text(value));
      break;
    case DATASTORE_LIST:
    case DATASTORE_MAP: {
      bool is_map = datastore_value_kind(value) == DATASTORE_MAP;
      putchar(is_map ? '{' : '[');
      for (size_t i = 0; i < len; i++) {
        if (i > 0) putchar(',');
        if (is_map) {
          datastore_text_t name = datastore_value_name(value, i);
          DEMAND(datastore_value_get(value, name) == datastore_value_at(value, i));
          print_text(name);
          putchar(':');
        }
        print_value(datastore_value_at(value, i));
      }
      putchar(is_map ? '}' : ']');
      break;
    }
    default:
      fputs("null", stdout);
  }
}

static const char *kind_of(const datastore_error_t *error) {
  switch (datastore_error_kind(error)) {
    case DATASTORE_ERROR_USAGE:
      return "usage";
    case DATASTORE_ERROR_INVALID:
      return "invalid";
    case DATASTORE_ERROR_REFUSED:
      return "refused";
    case DATASTORE_ERROR_PRIVILEGE:
      return "privilege";
    case DATASTORE_ERROR_LOCKED:
      return "locked";
    case DATASTORE_ERROR_INTERRUPTED:
      return "interrupted";
    default:
      return "system";
  }
}

/* Prints the answer, and frees the error. */
static void answer(datastore_error_t *error, const datastore_value_t *value) {
  if (!error) {
    fputs("{\"told\":", stdout);
    print_value(value);
    printf(",\"events\":[%s]}\n", events);
    return;
  }
  printf("{\"error\":{\"kind\":\"%s\",\"errno\":%d,\"head\":", kind_of(error), datastore_error_errno(error));
  print_text(datastore_error_message(error));
  fputs(",\"message\":", stdout);
  print_text(datastore_error_chain(error));
  fputs(",\"hint\":", stdout);
  print_text(datastore_error_hint(error));
  fputs("}}\n", stdout);
  datastore_error_free(error);
}

static void happened(void *data, const datastore_value_t *event) {
  DEMAND(data == events);
  datastore_text_t name = datastore_value_text(datastore_value_get(event, datastore_text("event")));
  DEMAND(name.data && name.len < 16 && name.data[name.len] == '\0');
  char quoted[24];
  snprintf(quoted, sizeof quoted, "%s\"%s\"", *events ? "," : "", name.data);
  if (!strstr(events, *events ? quoted + 1 : quoted)) {
    DEMAND(strlen(events) + strlen(quoted) < sizeof events);
    strcat(events, quoted);
  }
}

/* The goal of the words behind the first: VERB [APP|OPTION=VALUE...] */
static datastore_error_t *wanted(datastore_goal_t **goal) {
  datastore_error_t *error = datastore_goal_new(words[1], goal);
  for (size_t i = 2; !error && i < count; i++) {
    const char *sign = memchr(words[i].data, '=', words[i].len);
    if (sign) {
      size_t name = (size_t)(sign - words[i].data);
      datastore_text_t option = {words[i].data, name}, value = {sign + 1, words[i].len - name - 1};
      error = datastore_goal_set(*goal, option, value);
    } else {
      error = datastore_goal_add_app(*goal, words[i]);
    }
  }
  return error;
}

/* Applies a plan, which can be done once. */
static datastore_error_t *apply(const datastore_t *store, datastore_plan_t *plan, datastore_value_t **report) {
  datastore_error_t *error = datastore_plan_apply(store, plan, happened, events, report);
  if (!error) {
    datastore_value_t *none = NULL;
    datastore_error_t *again = datastore_plan_apply(store, plan, NULL, NULL, &none);
    DEMAND(datastore_error_kind(again) == DATASTORE_ERROR_USAGE && none == NULL);
    datastore_error_free(again);
  }
  return error;
}

/* What begins with a goal. */
static void change(const datastore_t *store, const char *what) {
  datastore_goal_t *goal = NULL;
  datastore_plan_t *plan = NULL;
  datastore_value_t *report = NULL;
  datastore_error_t *error = wanted(&goal);
  if (!strcmp(what, "run")) {
    if (!error) error = datastore_run(store, goal, happened, events, &report);
  } else {
    if (!error) error = datastore_plan(store, goal, &plan);
    if (!error && !strcmp(what, "keep")) error = datastore_plan_save(store, plan);
    if (!error && !strcmp(what, "apply")) error = apply(store, plan, &report);
  }
  DEMAND(!error || !report);
  answer(error, report ? report : datastore_plan_value(plan));
  datastore_value_free(report);
  datastore_plan_free(plan);
  datastore_goal_free(goal);
}

static void ask(const datastore_t *store, const char *what) {
  datastore_text_t none = datastore_text(NULL), first = count > 1 ? words[1] : none;
  datastore_value_t *value = NULL;
  datastore_error_t *error = NULL;
  if (!strcmp(what, "status")) {
    error = datastore_status(store, words + 1, count - 1, &value);
  } else if (!strcmp(what, "doctor")) {
    error = datastore_doctor(store, words + 1, count - 1, &value);
  } else if (!strcmp(what, "log")) {
    error = datastore_log(store, words + 1, count - 1, &value);
  } else if (!strcmp(what, "usage")) {
    error = datastore_usage(store, words + 1, count - 1, &value);
  } else if (!strcmp(what, "candidates")) {
    error = datastore_candidates(store, &value);
  } else if (!strcmp(what, "check")) {
    error = datastore_check(store, first, &value);
  } else if (!strcmp(what, "operation")) {
    error = datastore_operation(store, first, &value);
  } else if (!strcmp(what, "recover")) {
    error = datastore_recover(store, happened, events, &value);
  } else if (!strcmp(what, "guard")) {
    error = datastore_guard(store, first);
  } else if (!strcmp(what, "load")) {
    datastore_plan_t *plan = NULL;
    error = datastore_plan_load(store, first, &plan);
    if (!error) error = apply(store, plan, &value);
    datastore_plan_free(plan);
  } else {
    change(store, what);
    return;
  }
  DEMAND(!error || !value);
  answer(error, value);
  datastore_value_free(value);
}

int main(int argc, char **argv) {
  DEMAND(argc == 2 && datastore_abi() == DATASTORE_ABI && datastore_version().len > 0);
  for (;; count++) {
    char *line = NULL;
    size_t room = 0;
    ssize_t len = getline(&line, &room, stdin);
    if (len < 1) {
      free(line);
      break;
    }
    DEMAND(count < MOST && line[len - 1] == '\n');
    line[len - 1] = '\0';
    words[count].data = line;
    words[count].len = (size_t)len - 1;
  }
  DEMAND(count > 0);
  char before[4096], after[4096];
  umask(027);
  DEMAND(getcwd(before, sizeof before));
  datastore_t *store = NULL;
  datastore_error_t *error = datastore_open(datastore_text(argv[1]), &store);
  if (error) {
    answer(error, NULL);
  } else {
    ask(store, words[0].data);
  }
  datastore_free(store);
  /* What belongs to the process is as it was. */
  DEMAND(umask(022) == 027 && getcwd(after, sizeof after) && !strcmp(before, after));
  for (size_t i = 0; i < count; i++) free((char *)words[i].data);
  return 0;
}
