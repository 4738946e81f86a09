-- The scene behind the singer: a song may name its own, otherwise the channel's.
alter table songs.song add column scene text not null default '' check (scene in ('', 'dusk', 'garden', 'lanterns', 'sea', 'snow'));
update channels.channel set theme = 'dusk' where theme not in ('dusk', 'garden', 'lanterns', 'sea', 'snow');
alter table channels.channel add constraint channel_scene check (theme in ('dusk', 'garden', 'lanterns', 'sea', 'snow'));
