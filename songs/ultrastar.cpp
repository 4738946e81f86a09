#include "songs/ultrastar.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>

#include "base/crypto.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "songs/encoding.hpp"
#include "songs/in_order.hpp"

namespace ovation::songs {
namespace {
constexpr std::size_t song_bytes_min = 10, song_bytes_max = 100'000;
constexpr std::size_t song_lines_max = 5'000;
constexpr std::int64_t start_max = 1 << 18;
constexpr std::int64_t note_length_max = 2'048;
constexpr std::int64_t beat_max = 1 << 24;
constexpr std::int64_t song_ms_max = 30 * 60 * 1000;
constexpr double gap_min_ms = -60'000, gap_max_ms = 600'000;
constexpr double bpm_min = 0.25, bpm_max = 10'000;  // below it, four times the tempo is under 1
constexpr int pitch_min = -60, pitch_max = 99;
constexpr int midi_from = 40;  // a song all of whose notes lie here is written in MIDI numbers
constexpr int semitones_of_midi_c4 = 60;

fault at_line(int line, std::string_view what) { return invalid("line " + std::to_string(line), what); }

// "." or "," as the decimal point; the whole text.
std::optional<double> decimal(std::string_view text) {
    std::string plain(text::trim(text));
    std::ranges::replace(plain, ',', '.');
    double out = 0;
    const auto [end, bad] = std::from_chars(plain.data(), plain.data() + plain.size(), out);
    if (bad != std::errc{} || end != plain.data() + plain.size() || !std::isfinite(out)) return std::nullopt;
    return out;
}

bool blank(char c) { return c == ' ' || c == '\t'; }
std::optional<std::int64_t> take_number(std::string_view& rest) {
    while (!rest.empty() && blank(rest.front())) rest.remove_prefix(1);
    std::int64_t out = 0;
    const auto [end, bad] = std::from_chars(rest.data(), rest.data() + rest.size(), out);
    if (bad != std::errc{}) return std::nullopt;
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    return out;
}
// A number beyond every limit is none: sums of two cannot overflow.
std::optional<std::int64_t> take_beat(std::string_view& rest) {
    const auto out = take_number(rest);
    return out && *out >= -beat_max && *out <= beat_max ? out : std::nullopt;
}
std::string_view take_word(std::string_view& rest) {
    while (!rest.empty() && blank(rest.front())) rest.remove_prefix(1);
    const auto word = rest.substr(0, rest.find_first_of(" \t"));
    rest.remove_prefix(word.size());
    return word;
}
bool safe_path(std::string_view path) { return !path.starts_with('/') && !path.starts_with('\\') && path.find("..") == std::string_view::npos && path.find(':') == std::string_view::npos; }

class reader {
public:
    reader(ultrastar_song& to, const read_options& options) : out_(to), options_(options) {}
    result<void> read(std::string_view text);

private:
    void note_deviation(std::string code, std::string text) { out_.deviations.push_back({number_, std::move(code), std::move(text)}); }
    void header(std::string_view row);
    result<void> headers_done();
    result<void> body(std::string_view row);
    result<void> add_note(std::string_view row);
    void add_break(std::string_view row);
    void add_voice(std::string_view row);
    void add_tempo(std::string_view row);
    void close_line(std::optional<std::int64_t> at);
    result<void> finish();

    ultrastar_song& out_;
    const read_options& options_;
    note_line line_;
    int number_ = 0;
    bool in_body_ = false;
    bool legacy_ = true;  // no #VERSION
    bool relative_ = false;
    std::map<int, std::int64_t> origin_;  // RELATIVE: where a voice's beats count from
};

void reader::header(std::string_view row) {
    if (in_body_) return note_deviation("header_in_body", "A header after the first note counts for nothing.");
    const auto colon = row.find(':');
    if (colon == std::string_view::npos) return note_deviation("header_without_colon", "A header is #KEY:VALUE; this line counts for nothing.");
    const auto key = text::upper(text::trim(row.substr(1, colon - 1)));
    const std::string value(text::trim(row.substr(colon + 1)));
    if (key.empty()) return note_deviation("header_without_key", "A header is #KEY:VALUE; this line counts for nothing.");
    if (value.empty()) return;
    const auto known = std::ranges::find(out_.headers, key, &std::pair<std::string, std::string>::first);
    if (known == out_.headers.end()) {
        out_.headers.emplace_back(key, value);
        return;
    }
    constexpr std::array lists{"LANGUAGE", "GENRE", "EDITION", "TAGS", "CREATOR"};
    if (std::ranges::find(lists, key) != lists.end()) {
        known->second += ", " + value;
        note_deviation("header_repeated", "#" + key + " stands twice; the values are joined.");
    } else {
        known->second = value;
        note_deviation("header_repeated", "#" + key + " stands twice; the last one counts.");
    }
}

result<void> reader::headers_done() {
    in_body_ = true;
    const auto version = out_.header("VERSION");
    legacy_ = version.empty();
    if (!legacy_) {
        auto rest = std::string_view(version);
        const auto major = take_number(rest);
        if (!major || *major < 0 || *major > 2) return invalid("#VERSION", "\"" + version + "\": versions 0, 1 and 2 can be read.");
        if (*major == 2 && !options_.take_version_2) return invalid("#VERSION", "2.x is an unpublished draft; save the song as 1.x.");
        legacy_ = *major == 0;
    }
    for (const char* key : {"TITLE", "ARTIST", "BPM"})
        if (out_.header(key).empty()) return invalid(std::string("#") + key, "is missing.");
    const auto bpm = decimal(out_.header("BPM"));
    if (!bpm || *bpm < bpm_min || *bpm > bpm_max) return invalid("#BPM", "\"" + out_.header("BPM") + "\" is not a tempo between 0.25 and 10000.");
    out_.tempi.assign(1, {0, *bpm});
    if (const auto written = out_.header("GAP"); !written.empty()) {
        const auto gap = decimal(written);
        if (!gap || *gap < gap_min_ms || *gap > gap_max_ms) return invalid("#GAP", "\"" + written + "\" lies outside −60000 … 600000 ms.");
        if (*gap < 0) out_.deviations.push_back({0, "negative_gap", "#GAP has a sign, which the format forbids; it is kept."});
        out_.gap_ms = *gap;
    }
    const auto relative = text::upper(out_.header("RELATIVE"));
    relative_ = relative == "YES" || relative == "TRUE" || relative == "1";
    if (relative_ && !legacy_) return invalid("#RELATIVE", "does not belong into a file with a version.");
    for (const char* key : {"AUDIO", "MP3", "VOCALS", "INSTRUMENTAL", "VOCALSAUDIO", "INSTRUMENTALAUDIO", "COVER", "BACKGROUND", "VIDEO"})
        if (!safe_path(out_.header(key))) return invalid(std::string("#") + key, "must be a file beside this one.");
    for (const char* old : {"RESOLUTION", "NOTESGAP", "CALCMEDLEY"})
        if (!out_.header(old).empty()) out_.deviations.push_back({0, "header_legacy", std::string("#") + old + " is of old versions and counts for nothing."});
    return result<void>{};
}

void reader::close_line(std::optional<std::int64_t> at) {
    if (line_.notes.empty()) return;
    line_.break_at = at;
    out_.lines.push_back(std::exchange(line_, note_line{line_.voice, {}, {}}));
}

result<void> reader::add_note(std::string_view row) {
    note n;
    n.kind = row.front();
    auto rest = row.substr(1);
    const bool separated = !rest.empty() && blank(rest.front());
    const auto start = take_beat(rest);
    const auto length = take_beat(rest);
    const auto pitch = take_beat(rest);
    if (!start || !length || !pitch) {
        note_deviation("junk_line", "This is no note (a kind, a start, a length, a pitch and a text) and counts for nothing.");
        return result<void>{};
    }
    if (!separated) note_deviation("note_not_separated", "A blank belongs behind the note's kind.");
    if (std::string_view(":*FRG").find(n.kind) == std::string_view::npos) {
        note_deviation("note_kind_unknown", std::string("\"") + n.kind + "\" is no kind of note; it is read as freestyle.");
        n.kind = 'F';
    }
    n.start = *start + (relative_ ? origin_[line_.voice] : 0);
    if (n.start < 0 || n.start > start_max) return at_line(number_, "the start lies outside 0 … 262144 beats.");
    if (*length < 0 || *length > note_length_max) return at_line(number_, "the length lies outside 0 … 2048 beats.");
    if (*pitch < pitch_min || *pitch > pitch_max) return at_line(number_, "the pitch lies outside of what can be sung.");
    if (*length == 0) note_deviation("note_without_length", "A note of no length is not scored.");
    n.length = *length;
    n.pitch = static_cast<int>(*pitch);
    // Exactly one blank belongs to the syntax; further ones to the syllable.
    if (!rest.empty() && blank(rest.front())) rest.remove_prefix(1);
    else if (!rest.empty()) note_deviation("text_not_separated", "A blank belongs before the syllable.");
    n.text = rest;
    if (!line_.notes.empty() && n.start < line_.notes.back().start + line_.notes.back().length)
        note_deviation("note_overlaps", "This note begins before the last one ends; the first that covers a beat is scored.");
    line_.notes.push_back(std::move(n));
    return result<void>{};
}

void reader::add_break(std::string_view row) {
    auto rest = row.substr(1);
    const auto first = take_beat(rest);
    const auto second = take_beat(rest);
    auto& origin = origin_[line_.voice];
    std::optional<std::int64_t> at;
    if (first) at = *first + (relative_ ? origin : 0);
    if (!first) note_deviation("break_without_beat", "A break names its beat.");
    if (line_.notes.empty()) note_deviation("break_repeated", "A break with no note before it counts for nothing.");
    else if (at && *at < line_.notes.back().start + line_.notes.back().length) {
        note_deviation("break_too_early", "The break lies before the end of the line's last note and is moved there.");
        at = line_.notes.back().start + line_.notes.back().length;
    }
    close_line(at);
    if (relative_) {
        if (second) origin = std::clamp(origin + *second, -beat_max, beat_max);
        else note_deviation("break_without_shift", "In a relative file a break says how far the next line counts on.");
    } else if (second) {
        note_deviation("break_two_numbers", "The second number belongs to relative files and counts for nothing.");
    }
}

void reader::add_voice(std::string_view row) {
    close_line(std::nullopt);
    auto rest = row.substr(1);
    const auto voice = take_number(rest);
    if (!voice || *voice < 1 || *voice > 9) return note_deviation("voice_unknown", "A voice is P1 … P9; this line counts for nothing.");
    if (!out_.has_voices && !out_.lines.empty()) note_deviation("voice_late", "The first voice is named after the first notes; those belong to P1.");
    out_.has_voices = true;
    line_.voice = static_cast<int>(*voice);
    if (*voice == 3 && legacy_) {
        line_.voice = both_voices;
        note_deviation("voice_both", "P3 of an old file: both sing.");
    }
}

void reader::add_tempo(std::string_view row) {
    auto rest = row.substr(1);
    const auto beat = decimal(take_word(rest));
    const auto bpm = decimal(take_word(rest));
    if (!beat || !bpm || *beat < 0 || *beat > static_cast<double>(start_max) || *bpm < bpm_min || *bpm > bpm_max)
        return note_deviation("junk_line", "This is no change of tempo (B, a beat, a tempo) and counts for nothing.");
    if (!legacy_) return note_deviation("tempo_change_refused", "A change of tempo is not in the format since version 1 and counts for nothing.");
    const auto at = static_cast<std::int64_t>(std::llround(*beat));
    if (at < out_.tempi.back().beat) return note_deviation("tempo_change_unordered", "Changes of tempo must stand in order; this one counts for nothing.");
    note_deviation("multi_bpm", "The tempo changes; the format has no such line, it is applied from here on.");
    if (at == out_.tempi.back().beat) out_.tempi.back().bpm = *bpm;
    else out_.tempi.push_back({at, *bpm});
}

result<void> reader::body(std::string_view row) {
    switch (row.front()) {
        case '-': add_break(row); return result<void>{};
        case 'P': case 'p': add_voice(row); return result<void>{};
        case 'B': add_tempo(row); return result<void>{};
        default: return add_note(row);
    }
}

result<void> reader::finish() {
    close_line(std::nullopt);
    int low = pitch_max;
    for (const auto& l : out_.lines)
        for (const auto& n : l.notes) low = std::min(low, n.pitch);
    if (low >= midi_from && !out_.lines.empty()) {
        out_.deviations.push_back({0, "midi_pitches", "The pitches are MIDI numbers; they are moved down by 60."});
        for (auto& l : out_.lines)
            for (auto& n : l.notes) n.pitch -= semitones_of_midi_c4;
    }
    std::int64_t last = 0;
    for (const auto& l : out_.lines)
        for (const auto& n : l.notes) last = std::max(last, n.start + n.length);
    if (out_.sample_of(last) > song_ms_max * samples_per_ms) return invalid("file", "the notes go on for more than half an hour.");
    if (out_.lines.empty()) return invalid("file", "has no notes.");
    if (out_.lines.size() > song_lines_max) return at_line(number_, "more than 5000 lines.");
    return result<void>{};
}

result<void> reader::read(std::string_view text) {
    bool ended = false;
    bool lf = false, cr = false;
    while (!text.empty() && !ended) {
        ++number_;
        const auto cut = text.find_first_of("\r\n");
        auto row = text.substr(0, cut);
        if (cut != std::string_view::npos) (text[cut] == '\r' ? cr : lf) = true;
        text.remove_prefix(cut == std::string_view::npos ? text.size() : cut + (text.substr(cut).starts_with("\r\n") ? 2 : 1));
        if (text::trim(row).empty()) continue;
        while (blank(row.front())) row.remove_prefix(1);
        if (row.front() == '#') {
            header(row);
            continue;
        }
        if (!in_body_) OVATION_CHECK(headers_done());
        if (row.front() == 'E' && text::trim(row).size() == 1) ended = true;
        else OVATION_CHECK(body(row));
        if (out_.lines.size() > song_lines_max) return at_line(number_, "more than 5000 lines.");
    }
    if (!in_body_) OVATION_CHECK(headers_done());
    if (lf && cr) out_.deviations.push_back({0, "line_ends_mixed", "Lines end in more than one way."});
    if (!ended) out_.deviations.push_back({number_, "end_missing", "The closing E is missing."});
    return finish();
}
}  // namespace

std::string ultrastar_song::header(std::string_view key) const {
    const auto at = std::ranges::find(headers, key, &std::pair<std::string, std::string>::first);
    return at == headers.end() ? std::string() : at->second;
}

std::string ultrastar_song::scene() const {
    const auto named = header("OVATION-SCENE");
    return std::ranges::find(limits::scenes, named) == limits::scenes.end() ? std::string() : named;
}

std::string ultrastar_song::backing_file() const {
    for (const char* key : {"INSTRUMENTAL", "INSTRUMENTALAUDIO", "AUDIO", "MP3"})
        if (auto name = header(key); !name.empty()) return name;
    return {};
}

std::int64_t ultrastar_song::sample_of(std::int64_t beat) const {
    double ms = gap_ms;
    for (std::size_t i = 0; i < tempi.size(); ++i) {
        const auto& t = tempi[i];
        if (i > 0 && beat <= t.beat) break;
        const auto until = i + 1 < tempi.size() ? std::min(beat, tempi[i + 1].beat) : beat;
        ms += static_cast<double>(until - t.beat) * 15'000.0 / t.bpm;
    }
    return std::llround(ms * static_cast<double>(samples_per_ms));
}

std::string ultrastar_song::content_hash() const {
    std::string all = fmt::format("{} {}\n", bpm(), gap_ms);
    for (std::size_t i = 1; i < tempi.size(); ++i) all += fmt::format("B {} {}\n", tempi[i].beat, tempi[i].bpm);
    for (const auto& line : lines) {
        all += fmt::format("P{}\n", line.voice);
        for (const auto& n : line.notes) all += fmt::format("{} {} {} {}\n", n.kind, n.start, n.length, n.pitch);
    }
    return crypto::to_hex(crypto::sha256(all)).substr(0, 32);
}

std::vector<v1::LyricLine> ultrastar_song::lyrics() const {
    std::vector<v1::LyricLine> out;
    for (const auto& line : lines) {
        auto& made = out.emplace_back();
        made.set_voice(line.voice);
        for (const auto& n : line.notes) {
            auto& s = *made.add_syllables();
            s.set_start(sample_of(n.start));
            s.set_length(sample_of(n.start + n.length) - s.start());
            s.set_pitch(n.pitch);
            s.set_text(n.text);
            s.set_kind(std::string(1, n.kind));
        }
        made.set_start(made.syllables(0).start());
        std::int64_t end = made.start();
        for (const auto& s : made.syllables()) end = std::max(end, s.start() + s.length());
        made.set_end(end);
    }
    // Voices stand one after the other in the file; what is shown runs with the song.
    put_in_order(out, [](const v1::LyricLine& l) { return l.start(); });
    return out;
}

result<ultrastar_song> read_ultrastar(std::string_view bytes, const read_options& options) {
    if (bytes.size() < song_bytes_min || bytes.size() > song_bytes_max) return invalid("file", "a song has 10 bytes to 100 kB.");
    auto decoded_text = decode_song_text(bytes, options.encoding);
    if (!decoded_text) return decoded_text.error();
    const auto& text = *decoded_text;
    ultrastar_song out;
    out.encoding = text.encoding;
    out.encoding_guessed = text.guessed;
    if (text.guessed) out.deviations.push_back({0, "encoding_guessed", "The file is not UTF-8 and names no encoding; it is read as " + text.encoding + "."});
    else if (text.encoding != "UTF-8") out.deviations.push_back({0, "encoding_legacy", "The file is " + text.encoding + "; new files are UTF-8."});
    OVATION_CHECK(reader(out, options).read(text.utf8));
    return out;
}

std::shared_ptr<const ultrastar_song> in_key(ultrastar_song song, int semitones) {
    for (auto& line : song.lines)
        for (auto& n : line.notes) n.pitch += semitones;
    return std::make_shared<const ultrastar_song>(std::move(song));
}

std::string write_ultrastar(const ultrastar_song& song) {
    std::string out;
    // What only said how the old file was written does not hold for this one.
    for (const auto& [key, value] : song.headers)
        if (key != "ENCODING" && key != "RELATIVE") out += fmt::format("#{}:{}\n", key, value);
    // A change at beat 0 is not in the header.
    std::size_t tempo_next = decimal(song.header("BPM")) == song.bpm() ? 1 : 0;
    std::optional<int> voice;
    for (std::size_t i = 0; i < song.lines.size(); ++i) {
        const auto& line = song.lines[i];
        if (song.has_voices && voice != line.voice) {
            out += line.voice == both_voices ? "P3\n" : fmt::format("P{}\n", line.voice);
            voice = line.voice;
        }
        for (const auto& n : line.notes) {
            for (; tempo_next < song.tempi.size() && song.tempi[tempo_next].beat <= n.start; ++tempo_next) out += fmt::format("B {} {}\n", song.tempi[tempo_next].beat, song.tempi[tempo_next].bpm);
            out += fmt::format("{} {} {} {} {}\n", n.kind, n.start, n.length, n.pitch, n.text);
        }
        const bool ends_voice = i + 1 == song.lines.size() || song.lines[i + 1].voice != line.voice;
        if (line.break_at) out += fmt::format("- {}\n", *line.break_at);
        else if (!ends_voice) out += "-\n";
    }
    for (; tempo_next < song.tempi.size(); ++tempo_next) out += fmt::format("B {} {}\n", song.tempi[tempo_next].beat, song.tempi[tempo_next].bpm);
    return out + "E\n";
}

}  // namespace ovation::songs
