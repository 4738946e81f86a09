-- What one folder may read of another: views, so that a table can change behind them (tests/tidy holds the statements to it).
create view identity.person as select id, issuer, subject, display_name, roles, show_on_boards from identity.users;
create view channels.channel_terms as select id, agent_id, name, theme, preset from channels.channel;
create view songs.songbook as
  select id, title, artist, content_hash, public_domain, scored, format, source, source_encoding, voices, duration_samples from songs.song;
create view rooms.kept_take as
  select t.performance_id, t.singer_id, t.rules, t.level, t.voice, t.offset_ms, t.points, t.track, p.key from rooms.take t join rooms.performance p on p.id = t.performance_id;
create view payments.paid_top_up as select id, user_id, paid_at, price_minor, coins from payments.top_up where state = 'paid';
create view gifts.given_on_day as select day, coins from gifts.board_bucket where scope = 1 and subject = 1;
create view ledger.progress as select seq, restore_epoch, holder from ledger.head;
create view ledger.given as select seq, key, at, payer, route, item, room, performance, quantity, price, singer, agent from ledger.gift;
create view ledger.parties as select id, channel_id, singer_user from ledger.route;
create view ledger.booked as select seq, key, at from ledger.entry;
create view ledger.coins as
  select w.user_id, p.amount as wallet, g.amount as gift_only, b.amount as bonus
  from ledger.wallet w join ledger.balance p on p.account_id = w.wallet_account join ledger.balance g on g.account_id = w.gift_only_account
    join ledger.balance b on b.account_id = w.bonus_account;
-- One gift with all that its statement shows, in the order that ledger/service.cpp reads.
create view ledger.gift_line as
  select g.seq, g.key, (extract(epoch from g.at) * 1000)::bigint as at_ms, g.price, g.vat, g.rights, g.singer, g.agent, g.venue, g.platform, g.promo, g.item, g.quantity, g.room,
    g.performance, g.payer, -g.bonus as bonus, -g.gift_only as gift_only, -(g.price - g.bonus - g.gift_only) as paid, g.route,
    w.bonus_account, w.gift_only_account, w.wallet_account, t.vat_account, t.rights_account, t.singer_account, t.agent_account, t.venue_account, t.platform_account, t.promo_account,
    t.singer_user, x.rights_bp, x.singer_bp, x.agent_bp, x.venue_bp, x.platform_bp, x.gross, x.vat_bp, x.id as rule, x.preset, x.preset_version, x.source, x.source_id
  from ledger.gift g join ledger.route t on t.id = g.route join ledger.split_rule x on x.id = t.rule_id join ledger.wallet w on w.user_id = g.payer;
grant select on identity.person, channels.channel_terms, songs.songbook, rooms.kept_take, payments.paid_top_up, gifts.given_on_day,
  ledger.progress, ledger.given, ledger.parties, ledger.booked, ledger.coins, ledger.gift_line to ovation_app;

-- A report is open until somebody of ops has decided.
alter table rooms.report add column closed_at timestamptz, add column closed_by bigint references identity.users;
create index report_open on rooms.report (id) where closed_at is null;
