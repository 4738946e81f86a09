// RecordingService: what was kept of a performance, mixed on a thread of its own, shared when all its singers agree.
#pragma once
#include <atomic>
#include <filesystem>
#include <mutex>
#include <set>

#include "base/cores.hpp"
#include "base/rpc.hpp"
#include "base/worker_pool.hpp"
#include "identity/access_gate.hpp"
#include "ovation/v1/recording.pb.h"
#include "songs/rendition.hpp"

namespace ovation::rooms {

class recordings {
public:
    // Under `root`: parts/ (voices, never served) and shared/ (mixes, by token).
    recordings(cores& all, songs::shelf& shelf, std::filesystem::path root);
    void register_with(rpc_table& table, access_gate& gate);

    // For rooms: a singer's voice is kept from here on; where to.
    [[nodiscard]] std::filesystem::path part_file(performance_id performance, user_id singer) const;
    awaitable<void> begin(performance_id performance, user_id singer, int voice, std::string effect);
    // The performance is over and its voices are on the disk: mixes.
    awaitable<void> end(performance_id performance, std::string effect);
    // What a crash left behind, and what a full mixer could not take; looks each minute until stop().
    awaitable<void> finish_left();
    void stop() { stopping_ = true; }

    struct gift_target {
        user_id singer;
        channel_id channel;  // none: sung alone
        performance_id performance;
        bool licensed = false;
    };
    // Who receives a gift to a published recording. Refusals: not_found, wrong_singer.
    awaitable<result<gift_target>> target_of(std::int64_t recording, user_id to_singer);
    // What a share page says of itself before any script runs; nothing: not published.
    awaitable<std::optional<v1::Recording>> published(std::string token);
    [[nodiscard]] std::filesystem::path shared_folder() const { return root_ / "shared"; }

    awaitable<result<v1::ListRecordingsResponse>> list(granted who, v1::ListRecordingsRequest request);
    awaitable<result<v1::Recording>> get(granted who, v1::GetRecordingRequest request);
    awaitable<result<v1::Recording>> consent(granted who, v1::SetConsentRequest request);
    awaitable<result<v1::Recording>> remix(granted who, v1::MixRecordingRequest request);
    awaitable<result<v1::DeleteRecordingResponse>> remove(granted who, v1::DeleteRecordingRequest request);

private:
    awaitable<void> mix(std::int64_t recording);
    awaitable<void> mix_now(std::int64_t recording);
    awaitable<void> sweep();
    awaitable<result<v1::Recording>> one(std::int64_t id, std::string token, user_id asker);
    cores& all_;
    songs::shelf& shelf_;
    std::filesystem::path root_;
    worker_pool mixers_;
    std::atomic<bool> stopping_{false};
    std::mutex mutex_;  // guards mixing_
    std::set<std::int64_t> mixing_;
};

}  // namespace ovation::rooms
