/* Values on their way between PHP and the library. */

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "php_datastore.h"

datastore_text_t php_datastore_text(const zend_string *string) {
  datastore_text_t text = {string ? ZSTR_VAL(string) : NULL, string ? ZSTR_LEN(string) : 0};
  return text;
}

void php_datastore_convert(zval *to, const datastore_value_t *value) {
  size_t length = datastore_value_len(value);
  switch (datastore_value_kind(value)) {
    case DATASTORE_BOOL:
      ZVAL_BOOL(to, datastore_value_bool(value));
      break;
    case DATASTORE_INT:
      ZVAL_LONG(to, datastore_value_int(value));
      break;
    case DATASTORE_FLOAT:
      ZVAL_DOUBLE(to, datastore_value_float(value));
      break;
    case DATASTORE_TEXT: {
      datastore_text_t text = datastore_value_text(value);
      ZVAL_STRINGL_FAST(to, text.data, text.len);
      break;
    }
    case DATASTORE_LIST:
      array_init_size(to, (uint32_t)length);
      for (size_t i = 0; i < length; i++) {
        zval item;
        php_datastore_convert(&item, datastore_value_at(value, i));
        zend_hash_next_index_insert_new(Z_ARRVAL_P(to), &item);
      }
      break;
    case DATASTORE_MAP:
      array_init_size(to, (uint32_t)length);
      for (size_t i = 0; i < length; i++) {
        zval item;
        datastore_text_t name = datastore_value_name(value, i);
        php_datastore_convert(&item, datastore_value_at(value, i));
        zend_symtable_str_update(Z_ARRVAL_P(to), name.data, name.len, &item);
      }
      break;
    default:
      ZVAL_NULL(to);
  }
}

void php_datastore_return(zval *return_value, datastore_error_t *error, datastore_value_t **value) {
  if (php_datastore_failed(error)) {
    return;
  }
  if (!EG(exception)) {
    php_datastore_convert(return_value, *value);
  }
  datastore_value_free(*value);
}
