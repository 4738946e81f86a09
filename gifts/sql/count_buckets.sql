select count(*) from gifts.board_bucket
