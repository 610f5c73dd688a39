/* The classes of the stub. The generated functions are static, and only one file may hold them. */

#ifndef PHP_DATASTORE_CLASSES_H
#define PHP_DATASTORE_CLASSES_H

zend_class_entry *php_datastore_class_exception(zend_class_entry *parent);
zend_class_entry *php_datastore_class_argument(zend_class_entry *parent);
zend_class_entry *php_datastore_class_refused(zend_class_entry *parent);
zend_class_entry *php_datastore_class_system(zend_class_entry *parent);
zend_class_entry *php_datastore_class_privilege(zend_class_entry *parent);
zend_class_entry *php_datastore_class_plan(void);
zend_class_entry *php_datastore_class_store(void);

#endif
