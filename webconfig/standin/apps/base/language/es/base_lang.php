<?php

// What the widgets and the stand-in itself say.

$lang['base_action'] = 'Acción';
$lang['base_add'] = 'Añadir';
$lang['base_back'] = 'Volver';
$lang['base_cancel'] = 'Cancelar';
$lang['base_category_system'] = 'Sistema';
$lang['base_command_execution_failed'] = 'La orden falló.';
$lang['base_command_returned_no_output'] = 'La orden no dijo nada.';
$lang['base_configure'] = 'Configurar';
$lang['base_confirm'] = 'Confirmar';
$lang['base_delete'] = 'Borrar';
$lang['base_disable'] = 'Desactivar';
$lang['base_edit'] = 'Cambiar';
$lang['base_enable'] = 'Activar';
$lang['base_error'] = 'Error';
$lang['base_field_required'] = 'Este campo es necesario.';
$lang['base_information'] = 'Información';
$lang['base_item_was_added'] = 'Se ha añadido.';
$lang['base_item_was_deleted'] = 'Se ha borrado.';
$lang['base_next'] = 'Siguiente';
$lang['base_no_entry'] = 'Acceso denegado';
$lang['base_no_entry_help'] = 'Abra la dirección con el token que le dieron.';
$lang['base_not_found'] = 'No existe esa página';
$lang['base_ok'] = 'Aceptar';
$lang['base_ooops'] = 'No se ha hecho';
$lang['base_parameter_invalid'] = 'Ese parámetro no es válido.';
$lang['base_previous'] = 'Anterior';
$lang['base_select'] = 'Elegir';
$lang['base_status'] = 'Estado';
$lang['base_subcategory_storage'] = 'Almacenamiento';
$lang['base_system_updated'] = 'Se ha cambiado.';
$lang['base_token_wrong'] = 'Este formulario ya no es válido: abra la página otra vez.';
$lang['base_update'] = 'Actualizar';
$lang['base_view'] = 'Ver';
$lang['base_view_details'] = 'Ver detalles';
$lang['base_warning'] = 'Aviso';
