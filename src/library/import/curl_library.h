// libcurl, opened when something is first fetched: loading it and the twenty libraries behind it takes longer
// than most commands of the collection. Its functions are called through this table, with the types of its
// own header.
#pragma once

#include <curl/curl.h>

namespace lowrank::library {

struct Curl {
  decltype(&curl_easy_init) easy_init;
  decltype(&curl_easy_cleanup) easy_cleanup;
  decltype(&curl_easy_setopt) easy_setopt;
  decltype(&curl_easy_perform) easy_perform;
  decltype(&curl_easy_getinfo) easy_getinfo;
  decltype(&curl_easy_strerror) easy_strerror;
  decltype(&curl_slist_append) slist_append;
  decltype(&curl_slist_free_all) slist_free_all;
};

// Opens the library at the first call; safe to call from several threads. Throws Error(kNotFound) when it is
// not installed.
const Curl& curl();

}  // namespace lowrank::library
