#include "rooms/recordings.hpp"

#include <google/protobuf/util/json_util.h>
#include <spdlog/fmt/fmt.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <sstream>

#include "base/crypto.hpp"
#include "base/log.hpp"
#include "rooms/sql.hpp"
#include "songs/mix.hpp"

namespace ovation::rooms {
namespace {
namespace fs = std::filesystem;
constexpr int page_size_default = 20, page_size_max = 100;
constexpr int mixes_waiting_max = 64;
constexpr std::int64_t sung_min = 5LL * 48'000;  // shorter ones are not kept
constexpr int events_max = 5'000;
constexpr int looks_apart_s = 60;

// Columns of one_recording.sql and my_recordings.sql.
v1::Recording recording_of(const pg::rows& r, int i) {
    v1::Recording out;
    google::protobuf::util::JsonParseOptions lenient;
    lenient.ignore_unknown_fields = true;  // media_time is the server's own
    (void)google::protobuf::util::JsonStringToMessage(fmt::format("{{\"pieces\":{},\"singers\":{}}}", r.text(i, 15), r.text(i, 16)), &out, lenient);
    out.set_id(r.number(i, 0));
    out.set_token(r.string(i, 1));
    const auto state = r.text(i, 2);
    out.set_state(state == "recording" ? v1::RECORDING_STATE_RECORDING : state == "mixing" ? v1::RECORDING_STATE_MIXING : state == "ready" ? v1::RECORDING_STATE_READY : v1::RECORDING_STATE_FAILED);
    out.set_published(r.boolean(i, 3));
    out.set_song_id(r.number(i, 4));
    out.set_title(r.string(i, 5));
    out.set_artist(r.string(i, 6));
    out.set_key(static_cast<int>(r.number(i, 7)));
    out.set_effect(r.string(i, 8));
    out.set_duration_samples(r.number(i, 9));
    out.set_made_at_ms(r.number(i, 10));
    out.set_loudness_lufs(std::stod(r.string(i, 11)));
    out.set_room_name(r.string(i, 12));
    out.set_problem(r.string(i, 13));
    out.set_gift_coins(r.number(i, 14));
    if (out.state() == v1::RECORDING_STATE_READY) {
        out.set_opus_url("/recordings/" + out.token() + ".opus");
        out.set_m4a_url("/recordings/" + out.token() + ".m4a");
    }
    return out;
}
void mark_own(v1::Recording& r, user_id asker) {
    for (auto& s : *r.mutable_singers()) s.set_you(asker && s.user_id() == asker.value);
}
bool is_own(const v1::Recording& r) {
    return std::ranges::any_of(r.singers(), [](const auto& s) { return s.you(); });
}
void rename_shared(const fs::path& folder, const std::string& from, const std::string& to) {
    std::error_code ignored;
    for (const char* kind : {".opus", ".m4a"}) {
        if (to.empty()) fs::remove(folder / (from + kind), ignored);
        else fs::rename(folder / (from + kind), folder / (to + kind), ignored);
    }
}
std::string read_file(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return std::move(out).str();
}
}  // namespace

recordings::recordings(cores& all, songs::shelf& shelf, fs::path root) : all_(all), shelf_(shelf), root_(std::move(root)), mixers_(1, mixes_waiting_max) {}

void recordings::register_with(rpc_table& table, access_gate& gate) {
    const std::string prefix = "/ovation.v1.RecordingService/";
    bind_rpc(table, prefix + "ListRecordings", *this, &recordings::list);
    bind_rpc(table, prefix + "GetRecording", *this, &recordings::get);
    bind_rpc(table, prefix + "SetConsent", *this, &recordings::consent);
    bind_rpc(table, prefix + "MixRecording", *this, &recordings::remix);
    bind_rpc(table, prefix + "DeleteRecording", *this, &recordings::remove);
    gate.resolve(v1::RELATION_OWN, "recording_id", access_gate::by_row(all_, sql::is_recorded_singer));
}

fs::path recordings::part_file(performance_id performance, user_id singer) const { return root_ / "parts" / fmt::format("{}-{}.opus", performance.value, singer.value); }

awaitable<void> recordings::begin(performance_id performance, user_id singer, int voice, std::string effect) {
    std::vector<pg::request> both;
    both.push_back({&sql::begin_recording, pg::with(performance, crypto::random_token().substr(0, 24), effect.empty() ? std::string("off") : std::move(effect))});
    both.push_back({&sql::add_recording_part, pg::with(performance, singer, voice)});
    if (auto made = co_await all_.db().run(std::move(both)); !made) log::warn("rooms", "recording_not_begun", "performance_id={} err={}", performance.value, log::quoted(made.error().message));
}

awaitable<void> recordings::end(performance_id performance, std::string effect) {
    auto r = co_await all_.db().query(sql::end_recording, pg::with(performance, effect.empty() ? std::string("off") : std::move(effect)));
    if (!r) co_return log::warn("rooms", "recording_not_ended", "performance_id={} err={}", performance.value, log::quoted(r.error().message));
    if (!r->empty()) co_await mix(r->number(0, 0));
}

// Files that no recording names any more: a crash between the word and the deed.
awaitable<void> recordings::sweep() {
    auto kept = co_await all_.db().query(sql::recordings_kept, {});
    if (!kept) co_return log::warn("rooms", "recordings_not_read", "err={}", log::quoted(kept.error().message));
    std::set<std::string> names;
    for (int i = 0; i < kept->size(); ++i) {
        names.insert(kept->string(i, 0));
        names.insert(fmt::format("{}-{}", kept->number(i, 1), kept->number(i, 2)));
    }
    std::error_code ignored;
    for (const char* folder : {"shared", "parts", "mixing"})
        for (const auto& file : fs::directory_iterator(root_ / folder, ignored))
            if (!names.contains(file.path().stem().string())) fs::remove(file.path(), ignored);
}

awaitable<void> recordings::finish_left() {
    co_await sweep();
    asio::steady_timer timer(all_.here().context);
    for (bool first = true; !stopping_; first = false) {
        auto left = co_await all_.db().query(sql::recordings_left, pg::with(first));
        if (!left) log::warn("rooms", "recordings_not_read", "err={}", log::quoted(left.error().message));
        for (int i = 0; left && i < left->size(); ++i) co_await mix(left->number(i, 0));
        for (int i = 0; i < looks_apart_s && !stopping_; ++i) {
            timer.expires_after(std::chrono::seconds(1));
            co_await timer.async_wait(use_tuple);
        }
    }
}

awaitable<void> recordings::mix(std::int64_t id) {
    {
        const std::scoped_lock lock(mutex_);
        if (!mixing_.insert(id).second) co_return;  // under way
    }
    co_await mix_now(id);
    const std::scoped_lock lock(mutex_);
    mixing_.erase(id);
}

awaitable<void> recordings::mix_now(std::int64_t id) {
    auto r = co_await all_.db().query(sql::recording_to_mix, pg::with(id));
    if (!r || r->empty()) co_return;
    const performance_id performance(r->number(0, 1));
    std::vector<fs::path> files;
    std::string performers;
    for (int i = 0; i < r->size(); ++i) {
        files.push_back(part_file(performance, user_id(r->number(i, 7))));
        performers += (i > 0 ? ", " : "") + r->string(i, 8);
    }
    auto backing = co_await shelf_.take(r->string(0, 5), static_cast<int>(r->number(0, 6)));
    const auto high = backing ? backing->high : nullptr;
    std::vector<std::pair<std::string, std::string>> tags{{"TITLE", r->string(0, 3)}, {"ARTIST", r->string(0, 4)}, {"PERFORMER", performers}, {"DATE", r->string(0, 9)},
                                                          {"OVATION_PERFORMANCE", std::to_string(performance.value)}, {"OVATION_SONG_HASH", r->string(0, 5)}, {"OVATION_SCORE", r->string(0, 10)}};
    if (r->boolean(0, 11)) tags.emplace_back("LICENSE", "public domain (work)");
    const auto stem = root_ / "mixing" / std::to_string(id);
    struct outcome {
        std::string problem, pieces = "[]";
        std::int64_t length = 0;
        double lufs = 0;
    };
    auto done = co_await mixers_.run([files, high, effect = r->string(0, 2), stem, tags]() -> outcome {
        ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 10);  // singers go before
        outcome out;
        try {
        std::vector<std::vector<songs::recorded_stretch>> parts;
        std::int64_t sung = 0;
        for (const auto& f : files) {
            parts.push_back(songs::read_recording(read_file(f)));
            for (const auto& s : parts.back()) sung += s.length();
        }
        if (sung < sung_min) {
            out.problem = "nothing_sung";
            return out;
        }
        auto made = songs::mix(parts, high, effect);
        if (made)
            if (auto written = songs::share(*made, stem, tags); !written) made = written.error();
        if (!made) {
            out.problem = made.error().reason;
            return out;
        }
        out.pieces.clear();
        for (const auto& p : made->pieces) out.pieces += fmt::format("{}{{\"at\":{},\"length\":{},\"mediaTime\":{},\"position\":{}}}", out.pieces.empty() ? "[" : ",", p.at, p.length, p.media_time, p.position);
        out.pieces += "]";
        out.length = made->sound.frames();
        out.lufs = made->loudness_lufs;
        } catch (const std::exception& failure) {
            log::warn("rooms", "mix_threw", "err={}", log::quoted(failure.what()));
            out.problem = "internal";
        }
        return out;
    });
    if (!done) co_return log::warn("rooms", "mix_waits", "recording_id={}", id);  // asked again
    if (!done->problem.empty()) log::info("rooms", "mix_failed", "recording_id={} reason={}", id, done->problem);
    auto saved = co_await all_.db().query(sql::recording_mixed, pg::with(id, done->problem, done->pieces, done->length, fmt::format("{:.2f}", done->lufs)));
    if (!saved) log::warn("rooms", "mix_not_saved", "recording_id={} err={}", id, log::quoted(saved.error().message));
    std::error_code ignored;
    if (!saved || saved->empty() || !done->problem.empty()) {  // asked again, or deleted meanwhile
        for (const char* kind : {".opus", ".m4a"}) fs::remove(stem.string() + kind, ignored);
        co_return;
    }
    // Under the token of now; it may have changed while the mix was made, and may change once more here.
    const auto token = saved->string(0, 0);
    fs::create_directories(shared_folder(), ignored);
    for (const char* kind : {".opus", ".m4a"}) fs::rename(stem.string() + kind, shared_folder() / (token + kind), ignored);
    const auto now = co_await one(id, "", {});
    if (!now) rename_shared(shared_folder(), token, "");
    else if (now->token() != token) rename_shared(shared_folder(), token, now->token());
}

awaitable<result<v1::Recording>> recordings::one(std::int64_t id, std::string token, user_id asker) {
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::one_recording, pg::with(id, token)));
    if (r.empty()) co_return not_found("This recording");
    auto out = recording_of(r, 0);
    mark_own(out, asker);
    co_return out;
}

awaitable<result<v1::ListRecordingsResponse>> recordings::list(granted who, v1::ListRecordingsRequest request) {
    if (request.page_size() < 0 || request.page_size() > page_size_max) co_return invalid("page_size", "1 to 100; 0 is 20.");
    const auto size = request.page_size() == 0 ? page_size_default : request.page_size();
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::my_recordings, pg::with(who.user(), request.before_id() > 0 ? request.before_id() : INT64_MAX, size)));
    v1::ListRecordingsResponse out;
    for (int i = 0; i < r.size(); ++i) {
        *out.add_recordings() = recording_of(r, i);
        mark_own(*out.mutable_recordings(i), who.user());
    }
    if (r.size() == size) out.set_next_before_id(r.number(size - 1, 0));
    co_return out;
}

awaitable<result<v1::Recording>> recordings::get(granted who, v1::GetRecordingRequest request) {
    if (request.token().empty()) co_return invalid("token", "must be the token of a share link.");
    OVATION_CO_TRY(auto out, co_await one(0, request.token(), who.user()));
    if (!out.published() && !is_own(out)) co_return not_found("This recording");
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::recording_events, pg::with(out.id(), events_max)));
    for (int i = 0; i < r.size(); ++i) {
        auto& e = *out.add_events();
        google::protobuf::util::JsonParseOptions lenient;
        lenient.ignore_unknown_fields = true;
        (void)google::protobuf::util::JsonStringToMessage(r.string(i, 5), &e, lenient);
        e.set_at(r.number(i, 0));
        e.set_song_position(r.number(i, 1));
        e.set_kind(r.string(i, 2));
        e.set_user_id(r.number(i, 3));
        e.set_entry_seq(r.number(i, 4));
    }
    co_return out;
}

awaitable<result<v1::Recording>> recordings::consent(granted who, v1::SetConsentRequest request) {
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::set_consent, pg::with(request.recording_id(), who.user(), request.consents(), crypto::random_token().substr(0, 24))));
    if (!r.empty() && r.string(0, 0) != r.string(0, 1)) rename_shared(shared_folder(), r.string(0, 0), r.string(0, 1));
    co_return co_await one(request.recording_id(), "", who.user());
}

awaitable<result<v1::Recording>> recordings::remix(granted who, v1::MixRecordingRequest request) {
    if (request.effect() != "off" && request.effect() != "ktv" && request.effect() != "hall" && request.effect() != "studio") co_return invalid("effect", "off, ktv, hall or studio.");
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::mix_again, pg::with(request.recording_id(), request.effect())));
    if (r.empty()) co_return precondition("not_ready", "This recording is being mixed already, or is not finished yet.");
    all_.here().tasks.spawn("mix", mix(request.recording_id()));
    co_return co_await one(request.recording_id(), "", who.user());
}

awaitable<result<v1::DeleteRecordingResponse>> recordings::remove(granted, v1::DeleteRecordingRequest request) {
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::delete_recording, pg::with(request.recording_id())));
    if (r.empty()) co_return precondition("not_ready", "This recording is not finished yet. End the song first.");
    std::error_code ignored;
    for (int i = 0; i < r.size(); ++i) {
        rename_shared(shared_folder(), r.string(i, 0), "");
        fs::remove(part_file(performance_id(r.number(i, 1)), user_id(r.number(i, 2))), ignored);
    }
    co_return v1::DeleteRecordingResponse();
}

awaitable<result<recordings::gift_target>> recordings::target_of(std::int64_t recording, user_id to_singer) {
    OVATION_CO_TRY(auto r, co_await all_.db().query(sql::recording_receiver, pg::with(recording, to_singer)));
    if (r.empty()) co_return not_found("This recording");
    if (r.number(0, 0) == 0) co_return precondition("wrong_singer", "This singer is not in the recording. Nothing was charged.");
    co_return gift_target{user_id(r.number(0, 0)), channel_id(r.number(0, 1)), performance_id(r.number(0, 2)), r.boolean(0, 3)};
}

awaitable<std::optional<v1::Recording>> recordings::published(std::string token) {
    auto r = co_await one(0, std::move(token), {});
    if (!r || !r->published()) co_return std::nullopt;
    co_return std::move(*r);
}

}  // namespace ovation::rooms
