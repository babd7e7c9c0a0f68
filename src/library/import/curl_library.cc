#include "library/import/curl_library.h"

#include <dlfcn.h>

#include "base/error.h"

namespace lowrank::library {
namespace {

// The GnuTLS build has the same functions and is what some systems have instead.
void* open_library() {
  for (const char* name : {"libcurl.so.4", "libcurl-gnutls.so.4"})
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) return library;
  throw Error(kNotFound, "libcurl is not installed, so nothing can be downloaded; install libcurl4.");
}

template <typename Function>
void take(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) throw Error(kUnsupported, "libcurl lacks {}; install a newer libcurl4.", name);
}

Curl open_curl() {
  void* library = open_library();  // stays open: its threads and TLS state live to the end
  Curl curl{};
  decltype(&curl_global_init) global_init = nullptr;
  take(library, "curl_global_init", global_init);
  take(library, "curl_easy_init", curl.easy_init);
  take(library, "curl_easy_cleanup", curl.easy_cleanup);
  take(library, "curl_easy_setopt", curl.easy_setopt);
  take(library, "curl_easy_perform", curl.easy_perform);
  take(library, "curl_easy_getinfo", curl.easy_getinfo);
  take(library, "curl_easy_strerror", curl.easy_strerror);
  take(library, "curl_slist_append", curl.slist_append);
  take(library, "curl_slist_free_all", curl.slist_free_all);
  if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw Error(kIo, "libcurl could not be started.");
  return curl;
}

}  // namespace

const Curl& curl() {
  static const Curl kCurl = open_curl();
  return kCurl;
}

}  // namespace lowrank::library
