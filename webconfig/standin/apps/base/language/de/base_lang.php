<?php

// What the widgets and the stand-in itself say.

$lang['base_action'] = 'Aktion';
$lang['base_add'] = 'Hinzufügen';
$lang['base_back'] = 'Zurück';
$lang['base_cancel'] = 'Abbrechen';
$lang['base_category_system'] = 'System';
$lang['base_command_execution_failed'] = 'Der Befehl ist gescheitert.';
$lang['base_command_returned_no_output'] = 'Der Befehl hat nichts gesagt.';
$lang['base_configure'] = 'Einrichten';
$lang['base_confirm'] = 'Bestätigen';
$lang['base_delete'] = 'Löschen';
$lang['base_disable'] = 'Abschalten';
$lang['base_edit'] = 'Ändern';
$lang['base_enable'] = 'Einschalten';
$lang['base_error'] = 'Fehler';
$lang['base_field_required'] = 'Dieses Feld wird gebraucht.';
$lang['base_information'] = 'Hinweis';
$lang['base_item_was_added'] = 'Hinzugefügt.';
$lang['base_item_was_deleted'] = 'Gelöscht.';
$lang['base_next'] = 'Weiter';
$lang['base_no_entry'] = 'Kein Zutritt';
$lang['base_no_entry_help'] = 'Öffnen Sie die Adresse mit dem Token, das Sie bekommen haben.';
$lang['base_not_found'] = 'Diese Seite gibt es nicht';
$lang['base_ok'] = 'OK';
$lang['base_ooops'] = 'Nicht erledigt';
$lang['base_parameter_invalid'] = 'Dieser Parameter geht nicht.';
$lang['base_previous'] = 'Zurück';
$lang['base_select'] = 'Auswählen';
$lang['base_status'] = 'Zustand';
$lang['base_subcategory_storage'] = 'Speicher';
$lang['base_system_updated'] = 'Geändert.';
$lang['base_token_wrong'] = 'Dieses Formular gilt nicht mehr: öffnen Sie die Seite neu.';
$lang['base_update'] = 'Ändern';
$lang['base_view'] = 'Ansehen';
$lang['base_view_details'] = 'Einzelheiten';
$lang['base_warning'] = 'Warnung';
