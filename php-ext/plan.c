/* Datastore\Plan, and the goals that plans are made for. */

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "php_datastore.h"

zend_class_entry *php_datastore_plan_ce;
static zend_object_handlers handlers;

typedef struct {
  datastore_plan_t *plan;
  zend_object std;
} plan_object;

static plan_object *fetch(zend_object *object) {
  return (plan_object *)((char *)object - XtOffsetOf(plan_object, std));
}

static zend_object *create(zend_class_entry *class) {
  plan_object *made = zend_object_alloc(sizeof(plan_object), class);
  made->plan = NULL;
  zend_object_std_init(&made->std, class);
  object_properties_init(&made->std, class);
  made->std.handlers = &handlers;
  return &made->std;
}

static void free_object(zend_object *object) {
  datastore_plan_free(fetch(object)->plan);
  zend_object_std_dtor(object);
}

void php_datastore_register_plan(zend_class_entry *class) {
  php_datastore_plan_ce = class;
  class->create_object = create;
  memcpy(&handlers, zend_get_std_object_handlers(), sizeof handlers);
  handlers.offset = XtOffsetOf(plan_object, std);
  handlers.free_obj = free_object;
  handlers.clone_obj = NULL;
}

void php_datastore_plan_new(zval *to, datastore_plan_t *plan) {
  object_init_ex(to, php_datastore_plan_ce);
  fetch(Z_OBJ_P(to))->plan = plan;
}

datastore_plan_t *php_datastore_plan_of(zval *object) {
  return fetch(Z_OBJ_P(object))->plan;
}

bool php_datastore_add_app(datastore_goal_t *goal, const zval *app) {
  if (Z_TYPE_P(app) != IS_STRING) {
    php_datastore_misused("the name of an app is a string");
    return false;
  }
  return !php_datastore_failed(datastore_goal_add_app(goal, php_datastore_text(Z_STR_P(app))));
}

static bool add_apps(datastore_goal_t *goal, HashTable *apps) {
  zval *app;
  ZEND_HASH_FOREACH_VAL(apps, app) {
    ZVAL_DEREF(app);
    if (!php_datastore_add_app(goal, app)) {
      return false;
    }
  }
  ZEND_HASH_FOREACH_END();
  return true;
}

/* Every option. False and null leave one out; true sets one that takes no value. */
static bool set_options(datastore_goal_t *goal, HashTable *options) {
  zend_string *option;
  zval *value;
  ZEND_HASH_FOREACH_STR_KEY_VAL(options, option, value) {
    ZVAL_DEREF(value);
    if (!option) {
      php_datastore_misused("options have names, such as [\"to\" => \"data1\"]");
      return false;
    }
    if (Z_TYPE_P(value) == IS_NULL || Z_TYPE_P(value) == IS_FALSE) {
      continue;
    }
    if (Z_TYPE_P(value) != IS_STRING && Z_TYPE_P(value) != IS_LONG && Z_TYPE_P(value) != IS_TRUE) {
      php_datastore_misused("the value of an option is a string, a number of seconds or true");
      return false;
    }
    zend_string *text = Z_TYPE_P(value) == IS_TRUE ? ZSTR_EMPTY_ALLOC() : zval_get_string(value);
    datastore_error_t *error = datastore_goal_set(goal, php_datastore_text(option), php_datastore_text(text));
    zend_string_release(text);
    if (php_datastore_failed(error)) {
      return false;
    }
  }
  ZEND_HASH_FOREACH_END();
  return true;
}

datastore_goal_t *php_datastore_goal(datastore_text_t verb, HashTable *apps, HashTable *options) {
  datastore_goal_t *goal = NULL;
  if (php_datastore_failed(datastore_goal_new(verb, &goal))) {
    return NULL;
  }
  if ((apps && !add_apps(goal, apps)) || (options && !set_options(goal, options))) {
    datastore_goal_free(goal);
    return NULL;
  }
  return goal;
}

ZEND_METHOD(Datastore_Plan, __construct) {
  ZEND_PARSE_PARAMETERS_NONE();
}

ZEND_METHOD(Datastore_Plan, toArray) {
  ZEND_PARSE_PARAMETERS_NONE();
  php_datastore_convert(return_value, datastore_plan_value(php_datastore_plan_of(ZEND_THIS)));
}
