/* Errors become exceptions, by whose fault it was. */

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "php_datastore.h"

static zend_class_entry *base_ce, *argument_ce, *refused_ce, *system_ce, *privilege_ce;

void php_datastore_register_exceptions(zend_class_entry *base, zend_class_entry *argument, zend_class_entry *refused,
                                       zend_class_entry *system, zend_class_entry *privilege) {
  base_ce = base;
  argument_ce = argument;
  refused_ce = refused;
  system_ce = system;
  privilege_ce = privilege;
}

static zend_class_entry *class_of(uint32_t kind, const char **reason) {
  switch (kind) {
    case DATASTORE_ERROR_USAGE:
      *reason = "usage";
      return argument_ce;
    case DATASTORE_ERROR_INVALID:
      *reason = "invalid";
      return refused_ce;
    case DATASTORE_ERROR_REFUSED:
      *reason = "refused";
      return refused_ce;
    case DATASTORE_ERROR_LOCKED:
      *reason = "locked";
      return refused_ce;
    case DATASTORE_ERROR_INTERRUPTED:
      *reason = "interrupted";
      return refused_ce;
    case DATASTORE_ERROR_PRIVILEGE:
      *reason = "privilege";
      return privilege_ce;
    default:
      *reason = "system";
      return system_ce;
  }
}

static void throw(zend_class_entry *class, datastore_text_t message, int code, datastore_text_t hint,
                  const char *reason) {
  zval exception;
  object_init_ex(&exception, class);
  zend_object *object = Z_OBJ(exception);
  zend_update_property_stringl(zend_ce_exception, object, "message", sizeof "message" - 1,
                               message.data ? message.data : "", message.len);
  zend_update_property_long(zend_ce_exception, object, "code", sizeof "code" - 1, code);
  zend_update_property_stringl(base_ce, object, "hint", sizeof "hint" - 1, hint.data ? hint.data : "", hint.len);
  zend_update_property_string(base_ce, object, "reason", sizeof "reason" - 1, reason);
  zend_throw_exception_object(&exception);
}

bool php_datastore_failed(datastore_error_t *error) {
  if (!error) {
    return false;
  }
  /* What a callback has thrown meanwhile says more. */
  if (!EG(exception)) {
    const char *reason;
    zend_class_entry *class = class_of(datastore_error_kind(error), &reason);
    throw(class, datastore_error_chain(error), datastore_error_errno(error), datastore_error_hint(error), reason);
  }
  datastore_error_free(error);
  return true;
}

void php_datastore_misused(const char *message) {
  throw(argument_ce, datastore_text(message), 0, datastore_text(NULL), "usage");
}

static void property(zval *object, const char *name, size_t length, zval *return_value) {
  zval room;
  zval *value = zend_read_property(base_ce, Z_OBJ_P(object), name, length, 1, &room);
  ZVAL_DEREF(value);
  ZVAL_COPY(return_value, value);
}

ZEND_METHOD(Datastore_Exception, getHint) {
  ZEND_PARSE_PARAMETERS_NONE();
  property(ZEND_THIS, "hint", sizeof "hint" - 1, return_value);
}

ZEND_METHOD(Datastore_Exception, getReason) {
  ZEND_PARSE_PARAMETERS_NONE();
  property(ZEND_THIS, "reason", sizeof "reason" - 1, return_value);
}
