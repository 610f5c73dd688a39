<?php

// What the widgets and the stand-in itself say.

$lang['base_action'] = 'Action';
$lang['base_add'] = 'Add';
$lang['base_back'] = 'Back';
$lang['base_cancel'] = 'Cancel';
$lang['base_category_system'] = 'System';
$lang['base_command_execution_failed'] = 'The command failed.';
$lang['base_command_returned_no_output'] = 'The command said nothing.';
$lang['base_configure'] = 'Configure';
$lang['base_confirm'] = 'Confirm';
$lang['base_delete'] = 'Delete';
$lang['base_disable'] = 'Disable';
$lang['base_edit'] = 'Edit';
$lang['base_enable'] = 'Enable';
$lang['base_error'] = 'Error';
$lang['base_field_required'] = 'This field is needed.';
$lang['base_information'] = 'Information';
$lang['base_item_was_added'] = 'It was added.';
$lang['base_item_was_deleted'] = 'It was deleted.';
$lang['base_next'] = 'Next';
$lang['base_no_entry'] = 'You are not let in';
$lang['base_no_entry_help'] = 'Open the address with the token that was given to you.';
$lang['base_not_found'] = 'There is no such page';
$lang['base_ok'] = 'OK';
$lang['base_ooops'] = 'Not done';
$lang['base_parameter_invalid'] = 'This parameter cannot be.';
$lang['base_previous'] = 'Previous';
$lang['base_select'] = 'Select';
$lang['base_status'] = 'Status';
$lang['base_subcategory_storage'] = 'Storage';
$lang['base_system_updated'] = 'It was changed.';
$lang['base_token_wrong'] = 'This form is no longer valid: open the page again.';
$lang['base_update'] = 'Update';
$lang['base_view'] = 'View';
$lang['base_view_details'] = 'View details';
$lang['base_warning'] = 'Warning';
