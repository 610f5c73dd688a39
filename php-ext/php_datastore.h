/* What the parts of the extension know of each other. */

#ifndef PHP_DATASTORE_H
#define PHP_DATASTORE_H

#include "php.h"
#include "zend_exceptions.h"

#include <datastore.h>

/* All that is used here PHP 8.1 has, but perhaps for this. */
#ifndef ZVAL_STRINGL_FAST
#define ZVAL_STRINGL_FAST ZVAL_STRINGL
#endif

#define PHP_DATASTORE_VERSION "0.1.0"

extern zend_module_entry datastore_module_entry;
#define phpext_datastore_ptr &datastore_module_entry

/* exception.c */
/* Which class is thrown by whose fault; all have the first one above them. */
void php_datastore_register_exceptions(zend_class_entry *base, zend_class_entry *argument, zend_class_entry *refused,
                                       zend_class_entry *system, zend_class_entry *privilege);
/* Throws what an error says, and frees it. Says whether there was one. */
bool php_datastore_failed(datastore_error_t *error);
/* Throws that the caller did something that makes no sense. */
void php_datastore_misused(const char *message);

/* convert.c */
/* A string of PHP on its way in. */
datastore_text_t php_datastore_text(const zend_string *string);
/* What was told, as PHP knows it. */
void php_datastore_convert(zval *to, const datastore_value_t *value);
/* Puts what a call told into `return_value` and frees it, or throws. */
void php_datastore_return(zval *return_value, datastore_error_t *error, datastore_value_t **value);

/* plan.c */
extern zend_class_entry *php_datastore_plan_ce;
void php_datastore_register_plan(zend_class_entry *class);
/* Makes an object of a plan, which belongs to it from then on. */
void php_datastore_plan_new(zval *to, datastore_plan_t *plan);
datastore_plan_t *php_datastore_plan_of(zval *object);
/* A goal of a verb, apps and options; NULL after it has thrown. */
datastore_goal_t *php_datastore_goal(datastore_text_t verb, HashTable *apps, HashTable *options);
/* Names an app; false after it has thrown. */
bool php_datastore_add_app(datastore_goal_t *goal, const zval *app);

/* store.c */
void php_datastore_register_store(zend_class_entry *class);

#endif
