update identity.users set display_name = coalesce($2, display_name), show_on_boards = coalesce($3::boolean, show_on_boards), language = coalesce($4, language) where id = $1
