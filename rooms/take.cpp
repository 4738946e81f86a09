#include "rooms/take.hpp"

#include <spdlog/fmt/fmt.h>

#include "base/log.hpp"
#include "rooms/sql.hpp"

namespace ovation::rooms {
namespace {
constexpr std::size_t messages_a_batch = 1;
constexpr std::size_t messages_waiting_max = 500;  // half a minute behind: older ones are given up
constexpr auto take_step = std::chrono::milliseconds(20);
constexpr int take_steps_max = 500;

std::string lines_json(const songs::score_total& t) {
    std::string out = "[";
    for (const auto& l : t.lines) out += fmt::format("{}{{\"line\":{},\"points\":{:.3f},\"most\":{:.3f},\"rating\":{},\"end\":{}}}", out.size() > 1 ? "," : "", l.line, l.points, l.most, l.rating, l.end);
    return out + "]";
}
std::string flags_json(const songs::suspicion& s) {
    return fmt::format("{{\"silent\":{},\"voiced_share\":{:.3f},\"backing\":{},\"backing_match\":{:.3f},\"probes\":{}}}", s.silent, s.voiced_share, s.backing, s.backing_match, s.probes);
}
}  // namespace

take::take(parts p, std::shared_ptr<const songs::ultrastar_song> song, songs::judge_options how, std::shared_ptr<const songs::rendition> backing)
    : p_(std::move(p)), scorer_(std::make_shared<songs::scorer>(std::move(song), how, std::move(backing))) {}

void take::feed(std::int64_t position, const v1::Media& media) {
    fed_ = true;
    waiting_.push_back({position, {media.voice().begin(), media.voice().end()}});
    if (waiting_.size() > messages_waiting_max) waiting_.erase(waiting_.begin());
    if (!busy_ && waiting_.size() >= messages_a_batch) p_.home.tasks.spawn("score", [](std::shared_ptr<take> self) -> awaitable<void> { co_await self->work(); }(shared_from_this()));
}

awaitable<void> take::work() {
    if (busy_) co_return;
    busy_ = true;
    auto batch = std::make_shared<std::vector<message>>(std::move(waiting_));
    waiting_.clear();
    auto told = co_await p_.workers.run([scorer = scorer_, batch] {
        std::vector<songs::verdict> out;
        for (const auto& m : *batch)
            for (auto& v : scorer->feed(m.position, m.packets)) out.push_back(v);
        return out;
    });
    busy_ = false;
    if (!told) {
        // The workers are full: the same messages again with the next ones.
        waiting_.insert(waiting_.begin(), std::make_move_iterator(batch->begin()), std::make_move_iterator(batch->end()));
        co_return;
    }
    for (const auto& v : *told) {
        v1::LineScore s;
        s.set_performance_id(p_.performance.value);
        s.set_singer_id(p_.singer.value);
        s.set_line(static_cast<std::int32_t>(v.line.line));
        s.set_points(static_cast<std::int32_t>(v.line.points));
        s.set_most(static_cast<std::int32_t>(v.line.most));
        s.set_rating(v.line.rating);
        s.set_points_so_far(v.points_so_far);
        s.set_end(v.line.end);
        points_ = v.points_so_far;
        p_.line(s);
    }
}

awaitable<std::optional<v1::ScoreTotal>> take::finish() {
    asio::steady_timer timer(p_.home.context);
    for (int i = 0; i < take_steps_max && (busy_ || !waiting_.empty()); ++i) {
        if (!busy_) co_await work();
        timer.expires_after(take_step);
        co_await timer.async_wait(use_tuple);
    }
    if (!fed_ || busy_) co_return std::nullopt;
    struct judged {
        songs::score_total ours, usdx;
        songs::suspicion seen;
    };
    auto all = co_await p_.workers.run([scorer = scorer_] {
        auto usdx = scorer->how();
        usdx.rules = songs::score_rules::usdx_1;
        return judged{scorer->total(), songs::judge(scorer->song(), scorer->track(), usdx), scorer->look_back()};
    });
    if (!all) co_return std::nullopt;
    const auto& how = scorer_->how();
    const auto& track = scorer_->track();
    std::vector<pg::request> rows;
    for (const auto* t : {&all->ours, &all->usdx}) {
        auto p = pg::with(p_.performance, p_.singer, std::string(songs::name_of(t == &all->ours ? how.rules : songs::score_rules::usdx_1)), std::string(songs::name_of(how.level)), p_.song_hash, how.voice, how.offset_ms, t->points);
        p.add(t->normal).add(t->golden).add(t->line).add(track.voiced_ms()).add(flags_json(all->seen)).add(lines_json(*t)).add_bytes(track.bytes());
        rows.push_back({&sql::keep_take, std::move(p)});
    }
    if (auto kept = co_await p_.home.db.run(std::move(rows)); !kept) log::warn("rooms", "take_not_kept", "performance_id={} err={}", p_.performance.value, log::quoted(kept.error().message));
    v1::ScoreTotal out;
    out.set_performance_id(p_.performance.value);
    out.set_singer_id(p_.singer.value);
    out.set_points(all->ours.points);
    out.set_normal(all->ours.normal);
    out.set_golden(all->ours.golden);
    out.set_line(all->ours.line);
    out.set_rules(std::string(songs::name_of(how.rules)));
    out.set_level(std::string(songs::name_of(how.level)));
    out.set_sung_ms(track.voiced_ms());
    out.set_offset_ms(static_cast<std::int32_t>(how.offset_ms));
    out.set_silent(all->seen.silent);
    out.set_backing_heard(all->seen.backing);
    co_return out;
}

}  // namespace ovation::rooms
