/* The module: what is registered when PHP starts, and what phpinfo() shows. */

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "php_datastore.h"

#include "ext/spl/spl_exceptions.h"
#include "ext/standard/info.h"

#include "datastore_arginfo.h"

static PHP_MINIT_FUNCTION(datastore) {
  if (datastore_abi() != DATASTORE_ABI) {
    php_error_docref(NULL, E_CORE_WARNING,
                     "libdatastore %s has the ABI %u, and this extension was built for %u: install both of one version",
                     datastore_version().data, (unsigned)datastore_abi(), (unsigned)DATASTORE_ABI);
    return FAILURE;
  }
  zend_class_entry *base = register_class_Datastore_Exception(spl_ce_RuntimeException);
  php_datastore_register_exceptions(base, register_class_Datastore_InvalidArgumentException(base),
                                    register_class_Datastore_RefusedException(base),
                                    register_class_Datastore_SystemException(base),
                                    register_class_Datastore_PrivilegeException(base));
  php_datastore_register_plan(register_class_Datastore_Plan());
  php_datastore_register_store(register_class_Datastore_Store());
  return SUCCESS;
}

static PHP_MINFO_FUNCTION(datastore) {
  php_info_print_table_start();
  php_info_print_table_row(2, "datastore support", "enabled");
  php_info_print_table_row(2, "extension version", PHP_DATASTORE_VERSION);
  php_info_print_table_row(2, "libdatastore version", datastore_version().data);
  php_info_print_table_end();
}

zend_module_entry datastore_module_entry = {
    STANDARD_MODULE_HEADER,
    "datastore",
    NULL,
    PHP_MINIT(datastore),
    NULL,
    NULL,
    NULL,
    PHP_MINFO(datastore),
    PHP_DATASTORE_VERSION,
    STANDARD_MODULE_PROPERTIES,
};

#ifdef COMPILE_DL_DATASTORE
#ifdef ZTS
ZEND_TSRMLS_CACHE_DEFINE()
#endif
ZEND_GET_MODULE(datastore)
#endif
