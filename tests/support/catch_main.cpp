#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include "base/crypto.hpp"
#include "base/log.hpp"

int main(int argc, char** argv) {
    ovation::crypto::start();
    ovation::log::start("error");
    return Catch::Session().run(argc, argv);
}
