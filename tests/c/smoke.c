/* Does to the library what nobody should, and uses it from threads and after a fork; what it tells is the matter of parity.c.
 *
 *   smoke ROOT nonsense|panic|threads|fork
 *
 * It prints nothing, and ends with 0 if all is as it has to be. */

#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "datastore.h"
#include "demand.h"

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
  refused(datastore_usage(store, NULL, 3, &value), "no list");
  refused(datastore_usage(store, NULL, 0, NULL), "`usage` is NULL");
  refused(datastore_candidates(NULL, &value), "`store` is NULL");
  refused(datastore_candidates(store, NULL), "`candidates` is NULL");
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
  DEMAND(argc == 3 && datastore_abi() == DATASTORE_ABI && datastore_version().len > 0);
  const char *what = argv[2];
  datastore_t *store = NULL;
  DEMAND(datastore_open(datastore_text(argv[1]), &store) == NULL);
  int code = 64;
  if (!strcmp(what, "nonsense")) code = nonsense(store);
  if (!strcmp(what, "panic")) code = panics();
  if (!strcmp(what, "threads")) code = threads(store);
  if (!strcmp(what, "fork")) code = forked(store);
  datastore_free(store);
  return code;
}
