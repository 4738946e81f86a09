#include "songs/ultrastar.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/crypto.hpp"
#include "base/text.hpp"

namespace ovation::songs {
namespace {
constexpr std::size_t file_bytes_max = 100'000;
constexpr std::size_t lines_max = 5'000;
constexpr std::int64_t start_max = 1 << 18;
constexpr std::int64_t length_max = 2'048;
constexpr double gap_min_ms = -60'000, gap_max_ms = 600'000;

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

std::optional<std::int64_t> take_number(std::string_view& rest) {
    while (!rest.empty() && (rest.front() == ' ' || rest.front() == '\t')) rest.remove_prefix(1);
    std::int64_t out = 0;
    const auto [end, bad] = std::from_chars(rest.data(), rest.data() + rest.size(), out);
    if (bad != std::errc{}) return std::nullopt;
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    return out;
}

result<note> read_note(std::string_view line, int number) {
    note n;
    n.kind = line.front();
    auto rest = line.substr(1);
    const auto start = take_number(rest);
    const auto length = take_number(rest);
    const auto pitch = take_number(rest);
    if (!start || !length || !pitch) return at_line(number, "a note is a kind, a start, a length, a pitch and a text.");
    if (*start < 0 || *start > start_max) return at_line(number, "the start lies outside 0 … 262144 beats.");
    if (*length < 1 || *length > length_max) return at_line(number, "the length lies outside 1 … 2048 beats.");
    if (*pitch < -60 || *pitch > 120) return at_line(number, "the pitch lies outside of what can be sung.");
    n.start = *start;
    n.length = *length;
    n.pitch = static_cast<int>(*pitch);
    // Exactly one blank belongs to the syntax; further ones to the syllable.
    if (!rest.empty()) rest.remove_prefix(1);
    n.text = rest;
    return n;
}

result<void> check_headers(ultrastar_song& s) {
    const auto version = s.header("VERSION");
    if (!version.empty() && version[0] != '1') return invalid("#VERSION", "only 1.x files are read.");
    for (const char* key : {"TITLE", "ARTIST", "BPM"})
        if (s.header(key).empty()) return invalid(std::string("#") + key, "is missing.");
    const auto bpm = decimal(s.header("BPM"));
    if (!bpm || *bpm < 1 || *bpm > 3'000) return invalid("#BPM", "is not a tempo between 1 and 3000.");
    s.bpm = *bpm;
    if (!s.header("GAP").empty()) {
        const auto gap = decimal(s.header("GAP"));
        if (!gap || *gap < gap_min_ms || *gap > gap_max_ms) return invalid("#GAP", "lies outside −60000 … 600000 ms.");
        s.gap_ms = *gap;
    }
    if (!s.header("RELATIVE").empty()) return invalid("#RELATIVE", "does not belong into a file with a version.");
    const auto audio = s.header("AUDIO");
    if (audio.starts_with('/') || audio.find("..") != std::string::npos) return invalid("#AUDIO", "must be a file beside this one.");
    return result<void>{};
}
}  // namespace

std::int64_t ultrastar_song::sample_of(std::int64_t beat) const {
    return std::llround((gap_ms + static_cast<double>(beat) * 15'000.0 / bpm) * static_cast<double>(samples_per_ms));
}

std::string ultrastar_song::content_hash() const {
    std::string all = fmt::format("{} {}\n", bpm, gap_ms);
    for (const auto& line : lines) {
        all += fmt::format("P{}\n", line.voice);
        for (const auto& n : line.notes) all += fmt::format("{} {} {} {}\n", n.kind, n.start, n.length, n.pitch);
    }
    return crypto::to_hex(crypto::sha256(all)).substr(0, 32);
}

std::vector<v1::LyricLine> ultrastar_song::lyrics() const {
    std::vector<v1::LyricLine> out;
    for (const auto& line : lines) {
        if (line.notes.empty()) continue;
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
        const auto& last = made.syllables(made.syllables_size() - 1);
        made.set_end(last.start() + last.length());
    }
    return out;
}

result<ultrastar_song> read_ultrastar(std::string_view text) {
    if (text.size() < 10 || text.size() > file_bytes_max) return invalid("file", "10 bytes to 100 kB.");
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    if (!text::characters(text)) return invalid("file", "is not UTF-8.");
    ultrastar_song out;
    note_line line;
    bool in_body = false;
    bool ended = false;
    int number = 0;
    const auto close_line = [&] {
        if (!line.notes.empty()) out.lines.push_back(std::exchange(line, note_line{line.voice, {}}));
    };
    while (!text.empty() && !ended) {
        ++number;
        const auto cut = text.find_first_of("\r\n");
        auto row = text.substr(0, cut);
        text.remove_prefix(cut == std::string_view::npos ? text.size() : cut + (text.substr(cut).starts_with("\r\n") ? 2 : 1));
        if (text::trim(row).empty()) continue;
        if (row.front() == '#') {
            if (in_body) return at_line(number, "a header after the first note.");
            const auto colon = row.find(':');
            if (colon == std::string_view::npos) continue;
            std::string key(text::trim(row.substr(1, colon - 1)));
            std::ranges::transform(key, key.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
            out.headers[key] = std::string(text::trim(row.substr(colon + 1)));
            continue;
        }
        in_body = true;
        switch (row.front()) {
            case ':': case '*': case 'F': case 'R': case 'G': {
                auto n = read_note(row, number);
                if (!n) return n.error();
                if (!line.notes.empty() && n->start < line.notes.back().start + line.notes.back().length) return at_line(number, "this note overlaps the one before it.");
                line.notes.push_back(std::move(*n));
                break;
            }
            case '-': close_line(); break;
            case 'P': {
                close_line();
                auto rest = row.substr(1);
                const auto voice = take_number(rest);
                if (!voice || *voice < 1 || *voice > 9) return at_line(number, "a voice is P1 … P9.");
                line.voice = static_cast<int>(*voice);
                break;
            }
            case 'E': ended = true; break;
            default: return at_line(number, "is neither a note, a break, a voice nor the end.");
        }
        if (out.lines.size() > lines_max) return at_line(number, "more than 5000 lines.");
    }
    close_line();
    OVATION_CHECK(check_headers(out));
    if (out.lines.empty()) return invalid("file", "has no notes.");
    return out;
}

}  // namespace ovation::songs
