// datastore for C, and for whatever can call C.
//
// What is bound where, and why not, and every change that the command `datastore` can make: the same code, the same words, the same
// field names as in its JSON output.
//
// Conventions, for every function of this file:
//
// - A function that can fail returns `datastore_error_t *`: NULL is success. The caller frees the error.
// - Outputs are the last parameters. They are written on success only.
// - What a function hands out through a pointer to a pointer belongs to the caller, who gives it to the `_free` function of its type.
//   Every `_free` takes NULL. What a function returns as `const` belongs to what it was asked of, and ends with it.
// - Text is `datastore_text_t`: a pointer and a length in bytes. Texts that come out are UTF-8, and a NUL stands behind them. Texts that
//   go in must be UTF-8, hold no NUL, and have no more than 65535 bytes. NULL with length 0 is no text.
// - Of pointers that go in this is looked at: NULL, an address in the first page, a wrong alignment. All three are errors where the
//   pointer is needed, and give nothing (no text, length 0, `DATASTORE_NULL`) where a function cannot fail. Any other pointer that this
//   library did not give, or that was freed, cannot be told from a good one.
// - A store, a value and an error may be used by several threads at once. A goal and a plan are one thread's at a time.
// - After fork(2) a child may use all of it, if the parent was in no function of this library.
// - Nothing is printed, no signal is handled, and umask, working directory, locale and environment of the process stay as they are.
// - A defect of this library that would be a panic becomes an error of the kind `DATASTORE_ERROR_SYSTEM`.
// - Functions, constants and fields may be added without a new number of the ABI. What is here stays as it is as long as
//   `DATASTORE_ABI` does; `datastore_abi()` says which one the library has that was loaded.
//
// Generated from datastore-ffi by `cargo xtask check --write`.

#ifndef DATASTORE_H
#define DATASTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The caller asked for something that does not exist or makes no sense.
#define DATASTORE_ERROR_USAGE 1

// Configuration, a journal or another file of datastore cannot be understood.
#define DATASTORE_ERROR_INVALID 2

// It could be done, but it must not: the machine is not as it has to be.
#define DATASTORE_ERROR_REFUSED 3

// A system call or a program failed.
#define DATASTORE_ERROR_SYSTEM 4

// The caller may not.
#define DATASTORE_ERROR_PRIVILEGE 5

// Somebody else is at work on the same app or volume.
#define DATASTORE_ERROR_LOCKED 6

// An earlier operation stopped half-way and must be recovered first.
#define DATASTORE_ERROR_INTERRUPTED 7

// Nothing.
#define DATASTORE_NULL 0

// True or false.
#define DATASTORE_BOOL 1

// A whole number.
#define DATASTORE_INT 2

// A number with a fraction.
#define DATASTORE_FLOAT 3

// Text.
#define DATASTORE_TEXT 4

// Values, one after the other.
#define DATASTORE_LIST 5

// Values, each with a name.
#define DATASTORE_MAP 6

// The number of the ABI that this header describes.
#define DATASTORE_ABI 0

// What failed, on what, what holds now, and what to do.
typedef struct datastore_error_t datastore_error_t;

// What is asked for: a verb, apps, options. The words are those of the command line.
typedef struct datastore_goal_t datastore_goal_t;

// A plan: what would be done, step by step. It can be applied once.
typedef struct datastore_plan_t datastore_plan_t;

// The data store of a machine, or of an image of one. Each call looks at the machine anew.
typedef struct datastore_t datastore_t;

// A value, and those inside it.
typedef struct datastore_value_t datastore_value_t;

// Text: a pointer, and how many bytes there are. `data` is NULL where there is no text.
typedef struct datastore_text_t {
  // The first byte.
  const char *data;
  // How many bytes, without the NUL that stands behind texts of this library.
  size_t len;
} datastore_text_t;

// Called for each event, from the thread that called the library, with what the caller gave as `data`. The event is a map; its field
// `event` says what happened: `recovering`, `given-up`, `begin`, `doing`, `done`, `walking`, `failed`, `end`. It ends when the function
// returns. The function must not unwind or jump out.
typedef void (*datastore_progress_t)(void *data, const struct datastore_value_t *event);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Returns by whose fault it failed, one of `DATASTORE_ERROR_...`; 0 for NULL. There may be others later.
uint32_t datastore_error_kind(const struct datastore_error_t *error);

// Returns the number of the system call's error (errno(3)); 0 if no call failed.
int32_t datastore_error_errno(const struct datastore_error_t *error);

// Returns what failed and on what, without the causes below it.
struct datastore_text_t datastore_error_message(const struct datastore_error_t *error);

// Returns the message with everything that caused it, on one line.
struct datastore_text_t datastore_error_chain(const struct datastore_error_t *error);

// Returns the command or the edit that mends it; no text where there is none.
struct datastore_text_t datastore_error_hint(const struct datastore_error_t *error);

// Frees an error.
void datastore_error_free(struct datastore_error_t *error);

// Begins a goal with a verb: `apply`, `start`, `stop`, `restart`, `enable`, `disable`, `remap`, `import`, `move` or `reclaim`.
struct datastore_error_t *datastore_goal_new(struct datastore_text_t verb,
                                             struct datastore_goal_t **goal);

// Names an app. `apply` and `reclaim` without any are about all of them.
struct datastore_error_t *datastore_goal_add_app(struct datastore_goal_t *goal,
                                                 struct datastore_text_t app);

// Sets an option: `to` (a volume or a directory), `max-downtime` (seconds), `verify` (`sample` or `content`), `keep` (`old` or `new`);
// or one that takes no value: `undo`, `resume`, `abort`, `expired`, `accept-store`. Whether the verb takes it is said when the goal is
// planned.
struct datastore_error_t *datastore_goal_set(struct datastore_goal_t *goal,
                                             struct datastore_text_t option,
                                             struct datastore_text_t value);

// Frees a goal.
void datastore_goal_free(struct datastore_goal_t *goal);

// Plans a goal. Nothing is changed.
struct datastore_error_t *datastore_plan(const struct datastore_t *store,
                                         const struct datastore_goal_t *goal,
                                         struct datastore_plan_t **plan);

// Returns what a plan says: id, goal, steps (each with kind, app, mount_point, text), notes, remarks, loads. It ends with the plan.
const struct datastore_value_t *datastore_plan_value(const struct datastore_plan_t *plan);

// Keeps a plan, to be applied later by its id, by this or another process. It takes root.
struct datastore_error_t *datastore_plan_save(const struct datastore_t *store,
                                              struct datastore_plan_t *plan);

// Makes a plan again that was kept. It is refused (`DATASTORE_ERROR_REFUSED`) if the machine has changed so that it would be another
// one.
struct datastore_error_t *datastore_plan_load(const struct datastore_t *store,
                                              struct datastore_text_t id,
                                              struct datastore_plan_t **plan);

// Applies exactly this plan, or nothing. `progress` may be NULL. The plan is used up, whatever comes of it, and is still to be freed.
struct datastore_error_t *datastore_plan_apply(const struct datastore_t *store,
                                               struct datastore_plan_t *plan,
                                               datastore_progress_t progress,
                                               void *data,
                                               struct datastore_value_t **report);

// Finishes what stopped half-way, plans a goal and applies it: what the command does with `--yes`. Doing it again changes nothing.
struct datastore_error_t *datastore_run(const struct datastore_t *store,
                                        const struct datastore_goal_t *goal,
                                        datastore_progress_t progress,
                                        void *data,
                                        struct datastore_value_t **report);

// Frees a plan.
void datastore_plan_free(struct datastore_plan_t *plan);

// Opens the data store below a root directory: `/` or no text for this machine.
struct datastore_error_t *datastore_open(struct datastore_text_t root, struct datastore_t **store);

// Frees a store.
void datastore_free(struct datastore_t *store);

// Tells what is wrong in the configuration, or in that of one app: `diagnostics`, and how many of them are `errors`.
struct datastore_error_t *datastore_check(const struct datastore_t *store,
                                          struct datastore_text_t app,
                                          struct datastore_value_t **found);

// Tells what is bound where, from the kernel: `mappings`, `volumes`, `operations`. No app named means all.
struct datastore_error_t *datastore_status(const struct datastore_t *store,
                                           const struct datastore_text_t *apps,
                                           size_t count,
                                           struct datastore_value_t **status);

// Holds everything against everything: `findings`, and whether the look was `complete`. No app named means all findings.
struct datastore_error_t *datastore_doctor(const struct datastore_t *store,
                                           const struct datastore_text_t *apps,
                                           size_t count,
                                           struct datastore_value_t **diagnosis);

// Lets an app start: NULL. Else the error says which mapping is not as it has to be, and why.
struct datastore_error_t *datastore_guard(const struct datastore_t *store,
                                          struct datastore_text_t app);

// Tells how far an operation is, or was when it ended: what `/run/datastore/ops/<id>.json` holds.
struct datastore_error_t *datastore_operation(const struct datastore_t *store,
                                              struct datastore_text_t id,
                                              struct datastore_value_t **progress);

// Tells which operations have run, the oldest first: `operations`. No app named means all. It takes root.
struct datastore_error_t *datastore_log(const struct datastore_t *store,
                                        const struct datastore_text_t *apps,
                                        size_t count,
                                        struct datastore_value_t **log);

// Tells how much the data of apps and what was put aside takes, as `datastore usage` measured it last: `stores`, `parked`. Nothing is
// measured. No app named means all.
struct datastore_error_t *datastore_usage(const struct datastore_t *store,
                                          const struct datastore_text_t *apps,
                                          size_t count,
                                          struct datastore_value_t **usage);

// Tells which block devices nobody uses, and how each becomes a volume: `candidates`. Only root is told what is on them.
struct datastore_error_t *datastore_candidates(const struct datastore_t *store,
                                               struct datastore_value_t **candidates);

// Finishes what stopped half-way: `recovered` has a report for each.
struct datastore_error_t *datastore_recover(const struct datastore_t *store,
                                            datastore_progress_t progress,
                                            void *data,
                                            struct datastore_value_t **recovered);

// Returns what a value is: `DATASTORE_NULL`, `_BOOL`, `_INT`, `_FLOAT`, `_TEXT`, `_LIST` or `_MAP`.
uint32_t datastore_value_kind(const struct datastore_value_t *value);

// Returns whether a value is true; false for anything but a bool.
bool datastore_value_bool(const struct datastore_value_t *value);

// Returns a whole number; 0 for anything else.
int64_t datastore_value_int(const struct datastore_value_t *value);

// Returns a number, whole or not; 0 for anything else.
double datastore_value_float(const struct datastore_value_t *value);

// Returns a text; no text for anything else.
struct datastore_text_t datastore_value_text(const struct datastore_value_t *value);

// Returns how many values a list or a map has; 0 for anything else.
size_t datastore_value_len(const struct datastore_value_t *value);

// Returns the value at a place of a list or a map, counted from 0; NULL beyond its end.
const struct datastore_value_t *datastore_value_at(const struct datastore_value_t *value,
                                                   size_t place);

// Returns the name at a place of a map; no text beyond its end.
struct datastore_text_t datastore_value_name(const struct datastore_value_t *value, size_t place);

// Returns the value of this name in a map; NULL if there is none.
const struct datastore_value_t *datastore_value_get(const struct datastore_value_t *value,
                                                    struct datastore_text_t name);

// Frees a value that a function has handed out, with all inside it.
void datastore_value_free(struct datastore_value_t *value);

// Returns the number of the ABI of the library that was loaded. A program goes on only if it is `DATASTORE_ABI`.
uint32_t datastore_abi(void);

// Returns the version of the library, such as `0.1.0`. It lives as long as the library.
struct datastore_text_t datastore_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* DATASTORE_H */

/// Makes a text of a C string; of NULL, no text.
static inline datastore_text_t datastore_text(const char *string) {
  datastore_text_t text = {string, string ? strlen(string) : 0};
  return text;
}
