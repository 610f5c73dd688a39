/* Shows each call of the library, and is its smoke test:
 *
 *   smoke ROOT status|doctor|log [APP...]       smoke ROOT check [APP]
 *   smoke ROOT guard APP                        smoke ROOT operation ID
 *   smoke ROOT plan|keep|run VERB [APP|OPTION=VALUE...]
 *   smoke ROOT load ID                          smoke ROOT recover
 *   smoke ROOT nonsense|panic|threads|fork
 *
 * What is told is printed as JSON; an error goes to standard error, and its kind is the exit code. */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "datastore.h"

#define DEMAND(is_so)                                                                   \
  do {                                                                                  \
    if (!(is_so)) {                                                                     \
      fprintf(stderr, "%s:%d: this is not so: %s\n", __FILE__, __LINE__, #is_so);       \
      exit(99);                                                                         \
    }                                                                                   \
  } while (0)

static void print_text(FILE *to, datastore_text_t text) {
  fputc('"', to);
  for (size_t i = 0; i < text.len; i++) {
    unsigned char c = (unsigned char)text.data[i];
    if (c == '"' || c == '\\') {
      fprintf(to, "\\%c", c);
    } else if (c < 0x20) {
      fprintf(to, "\\u%04x", c);
    } else {
      fputc(c, to);
    }
  }
  fputc('"', to);
}

static void print_value(FILE *to, const datastore_value_t *value) {
  size_t len = datastore_value_len(value);
  switch (datastore_value_kind(value)) {
    case DATASTORE_BOOL:
      fputs(datastore_value_bool(value) ? "true" : "false", to);
      break;
    case DATASTORE_INT:
      fprintf(to, "%" PRId64, datastore_value_int(value));
      break;
    case DATASTORE_FLOAT:
      fprintf(to, "%.17g", datastore_value_float(value));
      break;
    case DATASTORE_TEXT:
      print_text(to, datastore_value_text(value));
      break;
    case DATASTORE_LIST:
    case DATASTORE_MAP: {
      int is_map = datastore_value_kind(value) == DATASTORE_MAP;
      fputc(is_map ? '{' : '[', to);
      for (size_t i = 0; i < len; i++) {
        if (i > 0) fputc(',', to);
        if (is_map) {
          print_text(to, datastore_value_name(value, i));
          fputc(':', to);
        }
        print_value(to, datastore_value_at(value, i));
      }
      fputc(is_map ? '}' : ']', to);
      break;
    }
    default:
      fputs("null", to);
  }
}

/* Prints what was told, and frees it. */
static int told(datastore_error_t *error, datastore_value_t **value) {
  if (error) {
    DEMAND(*value == NULL);
    int kind = (int)datastore_error_kind(error);
    fprintf(stderr, "%s\n", datastore_error_chain(error).data);
    datastore_text_t hint = datastore_error_hint(error);
    if (hint.data) fprintf(stderr, "hint: %.*s\n", (int)hint.len, hint.data);
    if (datastore_error_errno(error)) fprintf(stderr, "errno: %d\n", datastore_error_errno(error));
    DEMAND(datastore_error_message(error).len > 0);
    datastore_error_free(error);
    return kind;
  }
  print_value(stdout, *value);
  putchar('\n');
  datastore_value_free(*value);
  return 0;
}

/* Each event as a line, and how many there were. */
static void happened(void *data, const datastore_value_t *event) {
  ++*(int *)data;
  DEMAND(datastore_value_kind(datastore_value_get(event, datastore_text("event"))) == DATASTORE_TEXT);
  print_value(stderr, event);
  fputc('\n', stderr);
}

/* VERB [APP|OPTION=VALUE...] */
static datastore_error_t *wanted(char **words, datastore_goal_t **goal) {
  datastore_error_t *error = datastore_goal_new(datastore_text(*words), goal);
  for (words++; !error && *words; words++) {
    char *value = strchr(*words, '=');
    if (value) {
      *value = '\0';
      error = datastore_goal_set(*goal, datastore_text(*words), datastore_text(value + 1));
    } else {
      error = datastore_goal_add_app(*goal, datastore_text(*words));
    }
  }
  return error;
}

/* Shows a plan; keeps it if wanted. */
static int plan(const datastore_t *store, char **words, int keep) {
  datastore_goal_t *goal = NULL;
  datastore_plan_t *made = NULL;
  datastore_value_t *none = NULL;
  datastore_error_t *error = wanted(words, &goal);
  if (!error) error = datastore_plan(store, goal, &made);
  if (!error && keep) error = datastore_plan_save(store, made);
  datastore_goal_free(goal);
  int code = 0;
  if (error) {
    code = told(error, &none);
  } else {
    print_value(stdout, datastore_plan_value(made));
    putchar('\n');
  }
  datastore_plan_free(made);
  return code;
}

/* Applies a plan that was kept, which can be done once. */
static int load(const datastore_t *store, const char *id) {
  int events = 0;
  datastore_plan_t *kept = NULL;
  datastore_value_t *report = NULL, *again = NULL;
  datastore_error_t *error = datastore_plan_load(store, datastore_text(id), &kept);
  if (!error) error = datastore_plan_apply(store, kept, happened, &events, &report);
  int code = told(error, &report);
  if (!code) {
    DEMAND(events > 0);
    error = datastore_plan_apply(store, kept, NULL, NULL, &again);
    DEMAND(datastore_error_kind(error) == DATASTORE_ERROR_USAGE && again == NULL);
    datastore_error_free(error);
  }
  datastore_plan_free(kept);
  return code;
}

static int run(const datastore_t *store, char **words) {
  int events = 0;
  char before[4096], after[4096];
  umask(027);
  DEMAND(getcwd(before, sizeof before));
  datastore_goal_t *goal = NULL;
  datastore_value_t *report = NULL;
  datastore_error_t *error = wanted(words, &goal);
  if (!error) error = datastore_run(store, goal, happened, &events, &report);
  datastore_goal_free(goal);
  /* What belongs to the process is as it was. */
  DEMAND(umask(022) == 027 && getcwd(after, sizeof after) && !strcmp(before, after));
  return told(error, &report);
}

/* A call that must fail by the caller's fault, and say so. */
static void refused(datastore_error_t *error, const char *part) {
  DEMAND(datastore_error_kind(error) == DATASTORE_ERROR_USAGE);
  if (!strstr(datastore_error_message(error).data, part)) {
    fprintf(stderr, "`%s` does not say: %s\n", datastore_error_message(error).data, part);
    exit(99);
  }
  datastore_error_free(error);
}

static int nonsense(const datastore_t *store) {
  static char mebibyte[1 << 20];
  memset(mebibyte, 'x', sizeof mebibyte);
  datastore_text_t none = {NULL, 0}, nowhere = {NULL, 7}, near_nowhere = {(const char *)16, 7};
  datastore_text_t nul = {"ht\0tpd", 6}, latin = {"\xe9t\xe9", 3}, endless = {mebibyte, sizeof mebibyte};
  datastore_t *other = NULL;
  datastore_value_t *value = NULL;
  datastore_goal_t *goal = NULL;
  datastore_plan_t *made = NULL;

  datastore_error_t *error = datastore_open(datastore_text("/nowhere/at/all"), &other);
  DEMAND(datastore_error_kind(error) == DATASTORE_ERROR_SYSTEM && datastore_error_errno(error) == ENOENT);
  datastore_error_free(error);
  refused(datastore_open(datastore_text("/"), NULL), "`store` is NULL");
  refused(datastore_open(nowhere, &other), "no pointer");
  refused(datastore_status(NULL, NULL, 0, &value), "`store` is NULL");
  refused(datastore_status((const datastore_t *)8, NULL, 0, &value), "no pointer that this library gave");
  refused(datastore_status((const datastore_t *)((const char *)store + 1), NULL, 0, &value), "no pointer");
  refused(datastore_status(store, NULL, 3, &value), "no list");
  refused(datastore_status(store, &none, 1, &value), "missing");
  refused(datastore_status(store, NULL, 0, NULL), "`status` is NULL");
  refused(datastore_guard(store, none), "`app` is missing");
  refused(datastore_guard(store, near_nowhere), "no pointer");
  refused(datastore_guard(store, nul), "NUL");
  refused(datastore_guard(store, latin), "UTF-8");
  refused(datastore_guard(store, endless), "longer than 65535");
  refused(datastore_guard(store, datastore_text("no/name")), "no/name");
  refused(datastore_guard(store, datastore_text("nobody")), "nobody");
  refused(datastore_operation(store, datastore_text("yesterday"), &value), "yesterday");
  refused(datastore_operation(store, datastore_text("20201123T174301250Z-1a2b3c4d"), &value), "nothing is known");
  refused(datastore_goal_new(datastore_text("sleep"), &goal), "no verb");
  DEMAND(goal == NULL && value == NULL && other == NULL);

  DEMAND(datastore_goal_new(datastore_text("stop"), &goal) == NULL);
  refused(datastore_plan(store, goal, &made), "needs the name");
  refused(datastore_goal_set(goal, datastore_text("now"), none), "no option");
  refused(datastore_goal_set(goal, datastore_text("max-downtime"), datastore_text("soon")), "seconds");
  DEMAND(datastore_goal_add_app(goal, datastore_text("shop")) == NULL);
  DEMAND(datastore_goal_set(goal, datastore_text("to"), datastore_text("data1")) == NULL);
  refused(datastore_plan(store, goal, &made), "cannot take `to`");
  refused(datastore_run(store, NULL, NULL, NULL, &value), "`goal` is NULL");
  refused(datastore_plan_apply(store, NULL, NULL, NULL, &value), "`plan` is NULL");
  refused(datastore_plan_load(store, datastore_text("x"), &made), "x");
  DEMAND(made == NULL && value == NULL);
  datastore_goal_free(goal);

  DEMAND(datastore_error_kind(NULL) == 0 && datastore_error_message(NULL).data == NULL);
  DEMAND(datastore_value_kind(NULL) == DATASTORE_NULL && datastore_value_len(NULL) == 0);
  DEMAND(datastore_value_at(NULL, 0) == NULL && datastore_value_get(NULL, none) == NULL);
  DEMAND(datastore_plan_value(NULL) == NULL && datastore_text(NULL).data == NULL);
  datastore_error_free(NULL);
  datastore_value_free(NULL);
  datastore_goal_free(NULL);
  datastore_plan_free(NULL);
  datastore_free(NULL);

  /* What is not there gives nothing, and nothing of nothing is nothing. */
  DEMAND(datastore_status(store, NULL, 0, &value) == NULL);
  DEMAND(datastore_value_get(value, datastore_text("no such field")) == NULL);
  const datastore_value_t *rows = datastore_value_get(value, datastore_text("mappings"));
  DEMAND(datastore_value_at(rows, datastore_value_len(rows)) == NULL);
  DEMAND(datastore_value_name(rows, 0).data == NULL && datastore_value_int(rows) == 0);
  DEMAND(datastore_value_text(rows).data == NULL && !datastore_value_bool(rows));
  datastore_value_free(value);
  return 0;
}

/* Only in builds for developers; not in the header. */
extern datastore_error_t *datastore_forced_panic(void);

static int panics(void) {
  datastore_error_t *error = datastore_forced_panic();
  DEMAND(datastore_error_kind(error) == DATASTORE_ERROR_SYSTEM);
  DEMAND(strstr(datastore_error_chain(error).data, "a defect of datastore: forced by a test"));
  datastore_error_free(error);
  return 0;
}

static void *ask(void *store) {
  for (int i = 0; i < 50; i++) {
    datastore_value_t *value = NULL;
    DEMAND(datastore_status(store, NULL, 0, &value) == NULL);
    DEMAND(datastore_value_len(datastore_value_get(value, datastore_text("mappings"))) > 0);
    datastore_value_free(value);
    datastore_error_t *error = datastore_guard(store, datastore_text("nobody"));
    DEMAND(datastore_error_kind(error) == DATASTORE_ERROR_USAGE);
    datastore_error_free(error);
  }
  return NULL;
}

static int threads(datastore_t *store) {
  pthread_t all[8];
  for (int i = 0; i < 8; i++) DEMAND(pthread_create(&all[i], NULL, ask, store) == 0);
  for (int i = 0; i < 8; i++) DEMAND(pthread_join(all[i], NULL) == 0);
  return 0;
}

static int forked(datastore_t *store) {
  ask(store);
  pid_t child = fork();
  DEMAND(child >= 0);
  if (child == 0) {
    ask(store);
    datastore_free(store);
    _exit(0);
  }
  ask(store);
  int status = -1;
  DEMAND(waitpid(child, &status, 0) == child && status == 0);
  return 0;
}

int main(int argc, char **argv) {
  DEMAND(datastore_abi() == DATASTORE_ABI && datastore_version().len > 0);
  if (argc < 3) return 64;
  const char *verb = argv[2];
  char **rest = argv + 3;
  size_t count = (size_t)(argc - 3);
  datastore_text_t apps[16];
  for (size_t i = 0; i < count && i < 16; i++) apps[i] = datastore_text(rest[i]);
  datastore_text_t first = datastore_text(rest[0]);
  datastore_t *store = NULL;
  datastore_value_t *value = NULL;
  datastore_error_t *error = datastore_open(datastore_text(argv[1]), &store);
  if (error) return told(error, &value);
  int code;
  if (!strcmp(verb, "status")) {
    code = told(datastore_status(store, apps, count, &value), &value);
  } else if (!strcmp(verb, "doctor")) {
    code = told(datastore_doctor(store, apps, count, &value), &value);
  } else if (!strcmp(verb, "log")) {
    code = told(datastore_log(store, apps, count, &value), &value);
  } else if (!strcmp(verb, "check")) {
    code = told(datastore_check(store, first, &value), &value);
  } else if (!strcmp(verb, "operation")) {
    code = told(datastore_operation(store, first, &value), &value);
  } else if (!strcmp(verb, "recover")) {
    int events = 0;
    code = told(datastore_recover(store, happened, &events, &value), &value);
  } else if (!strcmp(verb, "guard")) {
    error = datastore_guard(store, first);
    code = error ? told(error, &value) : 0;
  } else if (!strcmp(verb, "plan") || !strcmp(verb, "keep")) {
    code = plan(store, rest, !strcmp(verb, "keep"));
  } else if (!strcmp(verb, "load")) {
    code = load(store, rest[0]);
  } else if (!strcmp(verb, "run")) {
    code = run(store, rest);
  } else if (!strcmp(verb, "nonsense")) {
    code = nonsense(store);
  } else if (!strcmp(verb, "panic")) {
    code = panics();
  } else if (!strcmp(verb, "threads")) {
    code = threads(store);
  } else if (!strcmp(verb, "fork")) {
    code = forked(store);
  } else {
    code = 64;
  }
  datastore_free(store);
  return code;
}
