// The parts of Asio that all folders share, and the one completion token (as_tuple: errors are values).
// No umbrella include: this header is the precompiled one.
#pragma once
#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace ovation {
namespace asio = boost::asio;
using boost::system::error_code;
template <class T>
using awaitable = asio::awaitable<T>;
inline constexpr asio::as_tuple_t<asio::use_awaitable_t<>> use_tuple{};
}  // namespace ovation
