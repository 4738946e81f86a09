// UltraStar and LRC: each oddity of thirty years at least once, named with its line; what is written reads back the same.
#include "tests/support/catch.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/text.hpp"
#include "songs/encoding.hpp"
#include "songs/lrc.hpp"

using namespace ovation::songs;

namespace {
const std::string legacy = "#TITLE:T\n#ARTIST:A\n#MP3:a.mp3\n#BPM:300\n#GAP:1000\n";
const std::string modern = "#VERSION:1.1.0\n#TITLE:T\n#ARTIST:A\n#AUDIO:a.mp3\n#BPM:300\n#GAP:1000\n";

ultrastar_song must(const std::string& bytes, const read_options& o = {}) {
    auto s = read_ultrastar(bytes, o);
    INFO(bytes);
    if (!s) FAIL(s.error().message);
    return *s;
}
bool named(const ultrastar_song& s, const std::string& code, int line) {
    return std::ranges::any_of(s.deviations, [&](const deviation& d) { return d.code == code && d.line == line; });
}
void round_trip(const ultrastar_song& s) {
    auto again = must(write_ultrastar(s));
    INFO(write_ultrastar(s));
    CHECK(again.lines == s.lines);
    CHECK(again.tempi == s.tempi);
    CHECK(again.gap_ms == s.gap_ms);
    CHECK(again.content_hash() == s.content_hash());
    CHECK(write_ultrastar(again) == write_ultrastar(s));
}
}  // namespace

TEST_CASE("ultrastar: each oddity is read as meant and named with its line") {
    struct row {
        std::string code, bytes;
        int line;
    };
    const std::vector<row> table{
        {"header_without_colon", legacy + "#RUBBISH\n: 0 4 0 la\nE\n", 6},
        {"header_without_key", legacy + "#:nothing\n: 0 4 0 la\nE\n", 6},
        {"text_not_separated", legacy + ": 0 4 0la\nE\n", 6},
        {"break_without_shift", "#TITLE:T\n#ARTIST:A\n#BPM:150\n#RELATIVE:yes\n: 0 4 0 a\n- 8\n: 9 4 0 c\nE\n", 6},
        {"header_repeated", legacy + "#TITLE:U\n: 0 4 0 la\nE\n", 6},
        {"header_in_body", legacy + ": 0 4 0 la\n#YEAR:1999\nE\n", 7},
        {"end_missing", legacy + ": 0 4 0 la", 6},
        {"junk_line", legacy + ": 0 4 0 la\nrubbish here\nE\n", 7},
        {"note_kind_unknown", legacy + "X 0 4 0 la\nE\n", 6},
        {"note_not_separated", legacy + ":0 4 0 la\nE\n", 6},
        {"note_without_length", legacy + ": 0 4 0 la\n: 4 0 0 lo\nE\n", 7},
        {"note_overlaps", legacy + ": 0 4 0 la\n: 3 4 0 lo\nE\n", 7},
        {"break_two_numbers", legacy + ": 0 4 0 la\n- 5 9\n: 9 4 0 lo\nE\n", 7},
        {"break_repeated", legacy + ": 0 4 0 la\n- 5\n- 6\n: 9 4 0 lo\nE\n", 8},
        {"break_too_early", legacy + ": 0 4 0 la\n- 2\n: 9 4 0 lo\nE\n", 7},
        {"break_without_beat", legacy + ": 0 4 0 la\n-\n: 9 4 0 lo\nE\n", 7},
        {"voice_both", legacy + "P1\n: 0 4 0 la\nP3\n: 8 4 0 lo\nE\n", 8},
        {"voice_late", legacy + ": 0 4 0 la\n- 5\nP2\n: 8 4 0 lo\nE\n", 8},
        {"voice_unknown", legacy + "P0\n: 0 4 0 la\nE\n", 6},
        {"multi_bpm", legacy + ": 0 4 0 la\nB 8 150\n: 8 4 0 lo\nE\n", 7},
        {"tempo_change_refused", modern + ": 0 4 0 la\nB 8 150\n: 8 4 0 lo\nE\n", 8},
        {"tempo_change_unordered", legacy + ": 0 4 0 la\nB 8 150\nB 4 100\n: 8 4 0 lo\nE\n", 8},
        {"midi_pitches", legacy + ": 0 4 60 la\n: 4 4 64 lo\nE\n", 0},
        {"negative_gap", "#TITLE:T\n#ARTIST:A\n#BPM:300\n#GAP:-250,5\n: 90 4 0 la\nE\n", 0},
        {"line_ends_mixed", "#TITLE:T\r\n#ARTIST:A\r#BPM:300\n: 0 4 0 la\nE\n", 0},
        {"header_legacy", legacy + "#RESOLUTION:4\n: 0 4 0 la\nE\n", 0},
        {"encoding_guessed", legacy + ": 0 4 0 caf\xe9\nE\n", 0},
        {"encoding_legacy", "#ENCODING:CP1250\n" + legacy + ": 0 4 0 \xb3za\nE\n", 0},
    };
    for (const auto& r : table) {
        const auto s = must(r.bytes);
        INFO(r.code << " in\n" << r.bytes);
        CHECK(named(s, r.code, r.line));
        round_trip(s);
    }
}
TEST_CASE("ultrastar: a file as the format wants it has no deviation and comes back byte for byte") {
    const auto text = modern + "#LANGUAGE:Chinese\n#X-APP:kept\nP1\n: 0 4 0 mo\n* 4 2 -3 li \nF 6 2 0 hua\n- 9\nR 12 4 0 rap\nG 16 4 0 gold\nP2\n: 0 4 7 ~\nE\n";
    const auto s = must(text);
    CHECK(s.deviations.empty());
    CHECK(write_ultrastar(s) == text);
    round_trip(s);
}
TEST_CASE("ultrastar: encodings in their order of decision") {
    const auto words = [](const std::string& bytes, const read_options& o = {}) { return must(bytes, o).lines.at(0).notes.at(0).text; };
    CHECK(words("\xef\xbb\xbf" + legacy + ": 0 4 0 \xc3\xa9\nE\n") == "é");
    CHECK(words("#ENCODING:CP1252\n" + legacy + ": 0 4 0 \xe9\nE\n") == "é");
    CHECK(words("#ENCODING:CP1250\n" + legacy + ": 0 4 0 \xb3\nE\n") == "ł");
    CHECK(words("#ENCODING:whatever\n" + legacy + ": 0 4 0 \xc3\xa9\nE\n") == "é");
    CHECK(words(legacy + ": 0 4 0 \xe9\nE\n") == "é");
    CHECK(read_ultrastar(modern + ": 0 4 0 \xe9\nE\n").error().message.find("UTF-8") != std::string::npos);
    // KOI8-R without a word of it is a guess that an operator mends.
    const auto guessed = must(legacy + ": 0 4 0 \xd0\xc5\xd3\nE\n");
    CHECK(guessed.encoding_guessed);
    CHECK(words(legacy + ": 0 4 0 \xd0\xc5\xd3\nE\n", {"KOI8-R", false}) == "пес");
    CHECK(words(legacy + ": 0 4 0 bl\x86\nE\n", {"CP865", false}) == "blå");
    std::string wide = "\xff\xfe", wide_be = "\xfe\xff";
    for (const char c : legacy + ": 0 4 0 la\nE\n") {
        wide += std::string{c, '\0'};
        wide_be += std::string{'\0', c};
    }
    CHECK(words(wide) == "la");
    CHECK(words(wide_be) == "la");
}
TEST_CASE("ultrastar: a file name that leaves the folder is refused with its line") {
    for (const char* name : {"/etc/passwd", "../a.mp3", "a/../../b.mp3", "C:\\a.mp3", "..\\a.mp3"}) {
        const auto s = read_ultrastar("#TITLE:T\n#ARTIST:A\n#MP3:" + std::string(name) + "\n#BPM:300\n: 0 4 0 la\nE\n", {});
        INFO(name);
        REQUIRE_FALSE(s);
        CHECK(s.error().message.find('3') != std::string::npos);
    }
}
TEST_CASE("ultrastar: relative beats, tempo changes, decimal commas, instrumentals") {
    const auto s = must("#TITLE:T\n#ARTIST:A\n#BPM:150\n#RELATIVE:yes\n: 0 4 0 a\n: 4 4 0 b\n- 8 10\n: 0 4 0 c\n- 5 6\n: 2 2 0 d\nE\n");
    REQUIRE(s.lines.size() == 3);
    CHECK(s.lines[1].notes[0].start == 10);
    CHECK(s.lines[1].break_at == 15);
    CHECK(s.lines[2].notes[0].start == 18);
    round_trip(s);
    const auto t = must(legacy + ": 0 4 0 la\nB 8 150\n: 8 4 0 lo\nE\n");
    CHECK(t.sample_of(8) == 1'400 * samples_per_ms);   // 1000 + 8 × 50
    CHECK(t.sample_of(10) == 1'600 * samples_per_ms);  // + 2 × 100
    CHECK(must("#TITLE:T\n#ARTIST:A\n#BPM:120,5\n#GAP:24489.38\n: 0 1 0 a\nE\n").bpm() == 120.5);
    CHECK(must(modern + "#INSTRUMENTAL:i.ogg\n: 0 1 0 a\nE\n").backing_file() == "i.ogg");
    CHECK(must(legacy + ": 0 1 0 a\nE\n").backing_file() == "a.mp3");
    CHECK(must(legacy + "#LANGUAGE:English\n#LANGUAGE:French\n: 0 1 0 a\nE\n").header("LANGUAGE") == "English, French");
}
TEST_CASE("lrc: times, repeats, offset, words, voices, clearing") {
    const auto s = read_lrc("[ti:Song]\n[ar:Singer]\n[offset:+500]\n[00:12.00][01:15.5]Again\n[00:10:25]First line\n[01:02.003]\n[100:00.00]Late\n");
    REQUIRE(s);
    CHECK(s->tag("ti") == "Song");
    REQUIRE(s->lines.size() == 5);
    CHECK(s->lines[0].start_ms == 9'750);
    CHECK(s->lines[1].start_ms == 11'500);
    CHECK(s->lines[2].start_ms == 61'503);
    CHECK(s->lines[2].words.empty());
    CHECK(s->lines[3].start_ms == 75'000);
    CHECK(s->lines[4].start_ms == 5'999'500);
    CHECK(s->deviations.size() == 1);
    CHECK(s->deviations[0].code == "lines_unsorted");
    const auto words = read_lrc("[00:01.00]<00:01.00>Hel<00:01.50>lo <00:02.00>you<00:03.00>\n[00:04.00]F:Only [00:05.00]she\n");
    REQUIRE(words);
    REQUIRE(words->lines[0].words.size() == 3);
    CHECK(words->lines[0].words[1].text == "lo ");
    CHECK(words->lines[0].end_ms == 3'000);
    CHECK(words->lines[1].voice == 1);
    CHECK(words->lines[1].words[1].start_ms == 5'000);
    CHECK(read_lrc("no time at all\n").error().field == "file");
    for (const auto& one : {*s, *words}) {
        const auto again = read_lrc(write_lrc(one));
        REQUIRE(again);
        CHECK(again->lines == one.lines);
        CHECK(again->tags == one.tags);
        CHECK(write_lrc(*again) == write_lrc(one));
    }
    const auto model = words->lyrics();
    CHECK(model[0].syllables(2).length() == 1'000 * samples_per_ms);
    CHECK(model[0].syllables(0).kind() == "L");
}
TEST_CASE("lrc: each deviation is named with its line, and what it says is read") {
    struct row {
        std::string code, bytes;
        int line;
    };
    const std::vector<row> table{
        {"offset_unknown", "[offset:soon]\n[00:01.00]la\n", 1},
        {"offset_unknown", "[offset:600001]\n[00:01.00]la\n", 1},
        {"tag_repeated", "[ti:One]\n[ti:Two]\n[00:01.00]la\n", 2},
        {"junk_line", "[00:01.00]la\nno time here\n", 2},
        {"times_unsorted", "[00:05.00][00:01.00]la\n", 1},
        {"lines_unsorted", "[00:05.00]la\n[00:01.00]lo\n", 0},
        {"word_times_unsorted", "[00:01.00]<00:03.00>la <00:02.00>lo\n", 1},
        {"word_times_on_repeated_line", "[00:01.00][00:09.00]<00:01.00>la <00:02.00>lo\n", 1},
        {"encoding_guessed", "[00:01.00]caf\xe9\n", 0},
    };
    for (const auto& r : table) {
        INFO(r.code << " in\n" << r.bytes);
        const auto s = read_lrc(r.bytes);
        REQUIRE(s);
        CHECK(std::ranges::any_of(s->deviations, [&](const auto& d) { return d.code == r.code && d.line == r.line; }));
        for (const auto& line : s->lines) CHECK_FALSE(line.words.empty());
    }
    CHECK(read_lrc("[offset:600000]\n[15:01.00]la\n")->deviations.empty());
    CHECK(read_lrc("[offset:soon]\n[00:01.00]la\n")->lines[0].start_ms == 1'000);
    CHECK(read_lrc("[ti:One]\n[ti:Two]\n[00:01.00]la\n")->tag("ti") == "Two");
    // The words stay, at the line's own time.
    CHECK(read_lrc("[00:01.00]<00:03.00>la <00:02.00>lo\n")->lines[0].words.size() == 1);
}
TEST_CASE("search: pinyin, its initials, accents") {
    const auto s = search_text("茉莉花", "Édith");
    for (const char* found : {"茉莉花", "molihua", "mlh", "mo li hua", "edith"}) CHECK(s.find(search_form(found)) != std::string::npos);
}

// A word that began with a two-byte character left half of it in the initials, and PostgreSQL refused the row.
TEST_CASE("search: initials are whole characters") {
    const auto found = search_text("送别", "李叔同 · J. P. Ordway");
    CHECK(ovation::text::characters(found));
    CHECK(found.find(" sb ") != std::string::npos);
    CHECK(found.find(" lstjpo") != std::string::npos);
}

TEST_CASE("ultrastar: songs from outside, where they are present, read, name their lines and read back the same") {
    namespace fs = std::filesystem;
    const fs::path folder = fs::path(SOURCE_DIR) / "../shared/songs";
    std::error_code absent;
    int songs = 0;
    for (const auto& entry : fs::directory_iterator(folder, absent)) {
        if (entry.path().extension() != ".txt") continue;
        std::ifstream in(entry.path(), std::ios::binary);
        const std::string bytes((std::istreambuf_iterator<char>(in)), {});
        INFO(entry.path().filename().string());
        const auto song = must(bytes);
        CHECK_FALSE(song.lines.empty());
        const auto lines = std::ranges::count(bytes, '\n') + 1;
        for (const auto& d : song.deviations) {
            INFO(d.code << " in line " << d.line);
            CHECK(d.line >= 0);
            CHECK(d.line <= lines);
        }
        round_trip(song);
        ++songs;
    }
    if (songs == 0) WARN("not run: there are no songs beside the checkout");
}
