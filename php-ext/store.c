/* Datastore\Store. */

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "php_datastore.h"

static zend_object_handlers handlers;

typedef struct {
  datastore_t *store;
  zend_object std;
} store_object;

static store_object *fetch(zend_object *object) {
  return (store_object *)((char *)object - XtOffsetOf(store_object, std));
}

static zend_object *create(zend_class_entry *class) {
  store_object *made = zend_object_alloc(sizeof(store_object), class);
  made->store = NULL;
  zend_object_std_init(&made->std, class);
  object_properties_init(&made->std, class);
  made->std.handlers = &handlers;
  return &made->std;
}

/* Of an object that was never opened, too. */
static void free_object(zend_object *object) {
  datastore_free(fetch(object)->store);
  zend_object_std_dtor(object);
}

void php_datastore_register_store(zend_class_entry *class) {
  class->create_object = create;
  memcpy(&handlers, zend_get_std_object_handlers(), sizeof handlers);
  handlers.offset = XtOffsetOf(store_object, std);
  handlers.free_obj = free_object;
  handlers.clone_obj = NULL;
}

/* The library says that `store` is NULL where the constructor has not opened one. */
#define STORE (fetch(Z_OBJ_P(ZEND_THIS))->store)

/* What is told of progress goes to a function of PHP. */
typedef struct {
  zend_fcall_info call;
  zend_fcall_info_cache cache;
  /* The request ends: no C or Rust may be jumped over, so that it goes on once they have returned. */
  bool bailed_out;
} listener;

static void happened(void *data, const datastore_value_t *event) {
  listener *to = data;
  /* After an exception the operation goes on, and nobody listens any more. */
  if (!to->call.size || EG(exception) || to->bailed_out) {
    return;
  }
  zend_try {
    zval argument, returned;
    php_datastore_convert(&argument, event);
    ZVAL_UNDEF(&returned);
    to->call.retval = &returned;
    to->call.params = &argument;
    to->call.param_count = 1;
    zend_call_function(&to->call, &to->cache);
    zval_ptr_dtor(&returned);
    zval_ptr_dtor(&argument);
  }
  zend_catch { to->bailed_out = true; }
  zend_end_try();
}

/* The end of every call that tells of progress. */
static void told(zval *return_value, listener *to, datastore_error_t *error, datastore_value_t **value) {
  if (to->bailed_out) {
    datastore_error_free(error);
    datastore_value_free(*value);
    zend_bailout();
  }
  php_datastore_return(return_value, error, value);
}

static void run(zval *return_value, datastore_t *store, datastore_goal_t *goal, listener *to) {
  if (!goal) {
    return;
  }
  datastore_value_t *value = NULL;
  datastore_error_t *error = datastore_run(store, goal, happened, to, &value);
  datastore_goal_free(goal);
  told(return_value, to, error, &value);
}

ZEND_METHOD(Datastore_Store, __construct) {
  zend_string *root = NULL;
  ZEND_PARSE_PARAMETERS_START(0, 1)
  Z_PARAM_OPTIONAL
  Z_PARAM_STR(root)
  ZEND_PARSE_PARAMETERS_END();
  store_object *this = fetch(Z_OBJ_P(ZEND_THIS));
  if (this->store) {
    php_datastore_misused("this store is open already");
    return;
  }
  php_datastore_failed(datastore_open(php_datastore_text(root), &this->store));
}

typedef datastore_error_t *(*of_apps)(const datastore_t *, const datastore_text_t *, size_t, datastore_value_t **);

static void ask(INTERNAL_FUNCTION_PARAMETERS, of_apps call) {
  zval *apps;
  int count;
  ZEND_PARSE_PARAMETERS_START(0, -1)
  Z_PARAM_VARIADIC('*', apps, count)
  ZEND_PARSE_PARAMETERS_END();
  datastore_text_t *texts = count ? safe_emalloc((size_t)count, sizeof *texts, 0) : NULL;
  for (int i = 0; i < count; i++) {
    if (Z_TYPE(apps[i]) != IS_STRING) {
      efree(texts);
      php_datastore_misused("the name of an app is a string");
      return;
    }
    texts[i] = php_datastore_text(Z_STR(apps[i]));
  }
  datastore_value_t *value = NULL;
  datastore_error_t *error = call(STORE, texts, (size_t)count, &value);
  if (texts) {
    efree(texts);
  }
  php_datastore_return(return_value, error, &value);
}

ZEND_METHOD(Datastore_Store, status) {
  ask(INTERNAL_FUNCTION_PARAM_PASSTHRU, datastore_status);
}

ZEND_METHOD(Datastore_Store, doctor) {
  ask(INTERNAL_FUNCTION_PARAM_PASSTHRU, datastore_doctor);
}

ZEND_METHOD(Datastore_Store, log) {
  ask(INTERNAL_FUNCTION_PARAM_PASSTHRU, datastore_log);
}

ZEND_METHOD(Datastore_Store, usage) {
  ask(INTERNAL_FUNCTION_PARAM_PASSTHRU, datastore_usage);
}

ZEND_METHOD(Datastore_Store, candidates) {
  ZEND_PARSE_PARAMETERS_NONE();
  datastore_value_t *value = NULL;
  datastore_error_t *error = datastore_candidates(STORE, &value);
  php_datastore_return(return_value, error, &value);
}

ZEND_METHOD(Datastore_Store, check) {
  zend_string *app = NULL;
  ZEND_PARSE_PARAMETERS_START(0, 1)
  Z_PARAM_OPTIONAL
  Z_PARAM_STR_OR_NULL(app)
  ZEND_PARSE_PARAMETERS_END();
  datastore_value_t *value = NULL;
  datastore_error_t *error = datastore_check(STORE, php_datastore_text(app), &value);
  php_datastore_return(return_value, error, &value);
}

ZEND_METHOD(Datastore_Store, guard) {
  zend_string *app;
  ZEND_PARSE_PARAMETERS_START(1, 1)
  Z_PARAM_STR(app)
  ZEND_PARSE_PARAMETERS_END();
  php_datastore_failed(datastore_guard(STORE, php_datastore_text(app)));
}

ZEND_METHOD(Datastore_Store, operation) {
  zend_string *id;
  ZEND_PARSE_PARAMETERS_START(1, 1)
  Z_PARAM_STR(id)
  ZEND_PARSE_PARAMETERS_END();
  datastore_value_t *value = NULL;
  datastore_error_t *error = datastore_operation(STORE, php_datastore_text(id), &value);
  php_datastore_return(return_value, error, &value);
}

ZEND_METHOD(Datastore_Store, plan) {
  zend_string *verb = NULL;
  HashTable *apps = NULL, *options = NULL;
  ZEND_PARSE_PARAMETERS_START(0, 3)
  Z_PARAM_OPTIONAL
  Z_PARAM_STR(verb)
  Z_PARAM_ARRAY_HT(apps)
  Z_PARAM_ARRAY_HT(options)
  ZEND_PARSE_PARAMETERS_END();
  datastore_text_t word = verb ? php_datastore_text(verb) : datastore_text("apply");
  datastore_goal_t *goal = php_datastore_goal(word, apps, options);
  if (!goal) {
    return;
  }
  datastore_plan_t *plan = NULL;
  datastore_error_t *error = datastore_plan(STORE, goal, &plan);
  datastore_goal_free(goal);
  if (!php_datastore_failed(error)) {
    php_datastore_plan_new(return_value, plan);
  }
}

ZEND_METHOD(Datastore_Store, save) {
  zval *plan;
  ZEND_PARSE_PARAMETERS_START(1, 1)
  Z_PARAM_OBJECT_OF_CLASS(plan, php_datastore_plan_ce)
  ZEND_PARSE_PARAMETERS_END();
  datastore_plan_t *of = php_datastore_plan_of(plan);
  if (php_datastore_failed(datastore_plan_save(STORE, of))) {
    return;
  }
  php_datastore_convert(return_value, datastore_value_get(datastore_plan_value(of), datastore_text("id")));
}

ZEND_METHOD(Datastore_Store, load) {
  zend_string *id;
  ZEND_PARSE_PARAMETERS_START(1, 1)
  Z_PARAM_STR(id)
  ZEND_PARSE_PARAMETERS_END();
  datastore_plan_t *plan = NULL;
  if (!php_datastore_failed(datastore_plan_load(STORE, php_datastore_text(id), &plan))) {
    php_datastore_plan_new(return_value, plan);
  }
}

ZEND_METHOD(Datastore_Store, apply) {
  zval *plan;
  listener to = {0};
  ZEND_PARSE_PARAMETERS_START(1, 2)
  Z_PARAM_OBJECT_OF_CLASS(plan, php_datastore_plan_ce)
  Z_PARAM_OPTIONAL
  Z_PARAM_FUNC_OR_NULL(to.call, to.cache)
  ZEND_PARSE_PARAMETERS_END();
  datastore_value_t *value = NULL;
  datastore_error_t *error = datastore_plan_apply(STORE, php_datastore_plan_of(plan), happened, &to, &value);
  told(return_value, &to, error, &value);
}

ZEND_METHOD(Datastore_Store, run) {
  zend_string *verb;
  HashTable *apps = NULL, *options = NULL;
  listener to = {0};
  ZEND_PARSE_PARAMETERS_START(1, 4)
  Z_PARAM_STR(verb)
  Z_PARAM_OPTIONAL
  Z_PARAM_ARRAY_HT(apps)
  Z_PARAM_ARRAY_HT(options)
  Z_PARAM_FUNC_OR_NULL(to.call, to.cache)
  ZEND_PARSE_PARAMETERS_END();
  run(return_value, STORE, php_datastore_goal(php_datastore_text(verb), apps, options), &to);
}

/* A verb of apps that is done at once. */
static void at_once(INTERNAL_FUNCTION_PARAMETERS, const char *word) {
  zval *apps;
  int count;
  listener to = {0};
  ZEND_PARSE_PARAMETERS_START(0, -1)
  Z_PARAM_VARIADIC('*', apps, count)
  ZEND_PARSE_PARAMETERS_END();
  datastore_goal_t *goal = php_datastore_goal(datastore_text(word), NULL, NULL);
  for (int i = 0; goal && i < count; i++) {
    if (!php_datastore_add_app(goal, &apps[i])) {
      datastore_goal_free(goal);
      return;
    }
  }
  run(return_value, STORE, goal, &to);
}

ZEND_METHOD(Datastore_Store, start) {
  at_once(INTERNAL_FUNCTION_PARAM_PASSTHRU, "start");
}

ZEND_METHOD(Datastore_Store, stop) {
  at_once(INTERNAL_FUNCTION_PARAM_PASSTHRU, "stop");
}

ZEND_METHOD(Datastore_Store, remap) {
  at_once(INTERNAL_FUNCTION_PARAM_PASSTHRU, "remap");
}

/* A goal of one app, and perhaps of a place to go to. */
static datastore_goal_t *of_one(const char *word, const zend_string *app, const zend_string *to, HashTable *options) {
  datastore_goal_t *goal = php_datastore_goal(datastore_text(word), NULL, options);
  if (!goal) {
    return NULL;
  }
  datastore_error_t *error = datastore_goal_add_app(goal, php_datastore_text(app));
  if (!error && to) {
    error = datastore_goal_set(goal, datastore_text("to"), php_datastore_text(to));
  }
  if (php_datastore_failed(error)) {
    datastore_goal_free(goal);
    return NULL;
  }
  return goal;
}

ZEND_METHOD(Datastore_Store, import) {
  zend_string *app;
  HashTable *options = NULL;
  listener to = {0};
  ZEND_PARSE_PARAMETERS_START(1, 3)
  Z_PARAM_STR(app)
  Z_PARAM_OPTIONAL
  Z_PARAM_ARRAY_HT(options)
  Z_PARAM_FUNC_OR_NULL(to.call, to.cache)
  ZEND_PARSE_PARAMETERS_END();
  run(return_value, STORE, of_one("import", app, NULL, options), &to);
}

ZEND_METHOD(Datastore_Store, move) {
  zend_string *app, *place;
  HashTable *options = NULL;
  listener to = {0};
  ZEND_PARSE_PARAMETERS_START(2, 4)
  Z_PARAM_STR(app)
  Z_PARAM_STR(place)
  Z_PARAM_OPTIONAL
  Z_PARAM_ARRAY_HT(options)
  Z_PARAM_FUNC_OR_NULL(to.call, to.cache)
  ZEND_PARSE_PARAMETERS_END();
  run(return_value, STORE, of_one("move", app, place, options), &to);
}
