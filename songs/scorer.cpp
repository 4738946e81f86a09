#include "songs/scorer.hpp"

#include <opus/opus.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <stdexcept>

#include "songs/ogg_opus.hpp"

namespace ovation::songs {
namespace {
constexpr std::int64_t per_pitch_sample = 48'000 / pitch_rate;  // 3
constexpr std::int64_t jump = packet_samples;                   // more off than 20 ms is another place
constexpr int frame_max = pitch_rate * 120 / 1000;
constexpr std::size_t recent_max = pitch_rate * 3 / 4;
constexpr std::int64_t settle = 30 * samples_per_ms;  // half a window, and a little
constexpr std::int64_t probe_every = 5'000 * samples_per_ms;
constexpr std::size_t probe_samples = pitch_rate / 2;                                // half a second
constexpr std::int64_t probe_early = pitch_rate / 10, probe_late = pitch_rate * 6 / 10;  // the microphone hears it late
constexpr std::int64_t probe_thinned = 4;  // the probe compares at 4 kHz
constexpr float probe_level = 0.003f;
constexpr double backing_suspected = 0.5;
constexpr double silent_below = 0.1;

std::unique_ptr<OpusDecoder, void (*)(OpusDecoder*)> make_decoder() {
    int failed = 0;
    std::unique_ptr<OpusDecoder, void (*)(OpusDecoder*)> out(opus_decoder_create(pitch_rate, 1, &failed), &opus_decoder_destroy);
    if (failed != OPUS_OK) throw std::runtime_error("libopus cannot start");
    return out;
}
std::vector<float> thinned(std::span<const float> x) {
    std::vector<float> out(x.size() / probe_thinned);
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = 0;
        for (std::size_t k = 0; k < probe_thinned; ++k) out[i] += x[i * probe_thinned + k];
    }
    return out;
}
}  // namespace

voice_reader::voice_reader() : decoder_(make_decoder()) {}

void voice_reader::feed(std::int64_t position, const std::vector<std::string>& packets) {
    if (fresh_ || std::llabs(position - next_position_) > jump) opus_decoder_ctl(decoder_.get(), OPUS_RESET_STATE);
    std::vector<float> samples(static_cast<std::size_t>(frame_max));
    for (const auto& p : packets) {
        const auto got = opus_decode_float(decoder_.get(), reinterpret_cast<const unsigned char*>(p.data()), static_cast<opus_int32>(p.size()), samples.data(), frame_max, 0);
        // What is no Opus is 20 ms of silence: the clock of the rest stays right.
        const auto count = got > 0 ? static_cast<std::size_t>(got) : static_cast<std::size_t>(packet_samples / per_pitch_sample);
        if (got <= 0) std::fill_n(samples.begin(), count, 0.0f);
        feed_samples(position, std::span(samples).first(count));
        position += static_cast<std::int64_t>(count) * per_pitch_sample;
    }
}

void voice_reader::feed_samples(std::int64_t position, std::span<const float> samples) {
    if (fresh_ || std::llabs(position - next_position_) > jump) {
        held_.clear();
        recent_.clear();
        held_position_ = position;
        recent_position_ = position;
        fresh_ = false;
    }
    held_.insert(held_.end(), samples.begin(), samples.end());
    recent_.insert(recent_.end(), samples.begin(), samples.end());
    if (recent_.size() > recent_max) {
        const auto gone = recent_.size() - recent_max;
        recent_.erase(recent_.begin(), recent_.begin() + static_cast<std::ptrdiff_t>(gone));
        recent_position_ += static_cast<std::int64_t>(gone) * per_pitch_sample;
    }
    next_position_ = position + static_cast<std::int64_t>(samples.size()) * per_pitch_sample;
    analyse();
}

void voice_reader::analyse() {
    std::size_t at = 0;
    for (; at + pitch_window <= held_.size(); at += pitch_hop)
        track_.put(held_position_ + static_cast<std::int64_t>(at + pitch_window / 2) * per_pitch_sample, find_pitch(std::span(held_).subspan(at, pitch_window)));
    held_.erase(held_.begin(), held_.begin() + static_cast<std::ptrdiff_t>(at));
    held_position_ = next_position_ - static_cast<std::int64_t>(held_.size()) * per_pitch_sample;
}

scorer::scorer(std::shared_ptr<const ultrastar_song> song, judge_options how, std::shared_ptr<const rendition> backing)
    : song_(std::move(song)), how_(how), backing_(std::move(backing)), told_(song_->lines.size(), false) {}

std::vector<verdict> scorer::feed(std::int64_t position, const std::vector<std::string>& packets) {
    reader_.feed(position, packets);
    std::vector<verdict> out;
    const auto late = how_.offset_ms * samples_per_ms;
    std::optional<score_total> all;
    for (std::size_t l = 0; l < song_->lines.size(); ++l) {
        const auto& line = song_->lines[l];
        if (told_[l] || !sings(line, how_.voice)) continue;
        std::int64_t end = INT64_MIN;
        for (const auto& n : line.notes) end = std::max(end, song_->sample_of(n.start + n.length));
        // A line that was jumped over is told too, once the singer is behind it.
        if (reader_.heard_to() < end + late + settle) continue;
        told_[l] = true;
        if (reader_.heard_to() - (end + late) > 2'000 * samples_per_ms) continue;  // long gone: a seek forward
        if (!all) all = total();
        for (const auto& s : all->lines)
            if (s.line == l) out.push_back({s, all->points});
    }
    // The residual lateness of the device: found once, then fixed.
    if (!offset_fixed_ && reader_.track().heard_ms() >= 22'000) {
        if (const auto found = find_offset(*song_, how_.voice, reader_.track())) {
            how_.offset_ms = *found;
            offset_fixed_ = true;
        } else if (reader_.track().heard_ms() >= 35'000) {
            offset_fixed_ = true;
        }
    }
    probe_backing();
    return out;
}

// Half a second of the voice beside the backing that the singer heard, at every lateness that a device can have.
void scorer::probe_backing() {
    const auto recent = reader_.recent();
    if (!backing_ || recent.size() < probe_samples || (probed_at_ != INT64_MIN && std::llabs(reader_.heard_to() - probed_at_) < probe_every)) return;
    const auto voice = recent.last(probe_samples);
    const auto voice_position = reader_.recent_position() + static_cast<std::int64_t>(recent.size() - probe_samples) * per_pitch_sample;
    double energy = 0;
    for (const float v : voice) energy += static_cast<double>(v) * static_cast<double>(v);
    if (std::sqrt(energy / static_cast<double>(probe_samples)) < static_cast<double>(probe_level)) return;
    probed_at_ = reader_.heard_to();
    // Backing from `probe_late` before to `probe_early` after; an access point before its begin starts the decoder.
    const auto from = voice_position - probe_late * per_pitch_sample;
    const auto first = std::max<std::int64_t>(0, ((from + opus_pre_skip) / packet_samples - 1) / access_point_every * access_point_every);
    const auto wanted_to = voice_position + (static_cast<std::int64_t>(probe_samples) + probe_early) * per_pitch_sample;
    const auto decoder = make_decoder();
    std::vector<float> backing;
    std::vector<float> frame(static_cast<std::size_t>(frame_max));
    auto position = first * packet_samples - opus_pre_skip;
    const auto base = position;
    for (auto i = first; i < static_cast<std::int64_t>(backing_->packets.size()) && position < wanted_to; ++i, position += packet_samples) {
        const auto& p = backing_->packets[static_cast<std::size_t>(i)];
        const auto got = opus_decode_float(decoder.get(), reinterpret_cast<const unsigned char*>(p.data()), static_cast<opus_int32>(p.size()), frame.data(), frame_max, 0);
        if (got <= 0) return;
        backing.insert(backing.end(), frame.begin(), frame.begin() + got);
    }
    const auto mine = thinned(voice), theirs = thinned(backing);
    const auto size = static_cast<std::int64_t>(mine.size());
    std::vector<double> squares(theirs.size() + 1, 0.0);
    for (std::size_t i = 0; i < theirs.size(); ++i) squares[i + 1] = squares[i] + static_cast<double>(theirs[i]) * static_cast<double>(theirs[i]);
    const double own = static_cast<double>(dot(mine.data(), mine.data(), static_cast<int>(size)));
    double best = 0;
    for (auto lag = -probe_early / probe_thinned; lag <= probe_late / probe_thinned; ++lag) {
        const auto start = (voice_position - base) / per_pitch_sample / probe_thinned - lag;
        if (start < 0 || start + size > static_cast<std::int64_t>(theirs.size())) continue;
        const auto s = squares[static_cast<std::size_t>(start + size)] - squares[static_cast<std::size_t>(start)];
        if (s > 1e-6 && own > 1e-9) best = std::max(best, static_cast<double>(std::fabs(dot(mine.data(), theirs.data() + start, static_cast<int>(size)))) / std::sqrt(s * own));
    }
    probes_.push_back(best);
}

suspicion scorer::look_back() const {
    suspicion out;
    std::int64_t voiced = 0, all = 0;
    for (const auto& line : song_->lines) {
        if (!sings(line, how_.voice)) continue;
        for (const auto& n : line.notes)
            for (auto slot = pitch_track::slot_of(song_->sample_of(n.start)); slot < pitch_track::slot_of(song_->sample_of(n.start + n.length)); ++slot) {
                const auto heard = reader_.track().in_slot(slot + how_.offset_ms / 10);
                if (heard == pitch_track::never_heard) continue;
                ++all;
                voiced += heard > pitch_track::unvoiced ? 1 : 0;
            }
    }
    out.voiced_share = all > 0 ? static_cast<double>(voiced) / static_cast<double>(all) : 0;
    out.silent = all > 0 && out.voiced_share < silent_below;
    auto sorted = probes_;
    std::ranges::sort(sorted);
    out.probes = static_cast<int>(sorted.size());
    if (!sorted.empty()) out.backing_match = sorted[sorted.size() / 2];
    out.backing = out.probes >= 2 && out.backing_match >= backing_suspected;
    return out;
}

}  // namespace ovation::songs
