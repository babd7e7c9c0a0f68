#define LLVMFuzzerTestOneInput fuzz_infotext
#include "fuzz/infotext_fuzz.cc"

#include "prompt/corpus.h"

TEST(InfotextFuzz, CorpusPasses) {
  lowrank::prompt::replay_corpus("infotext", fuzz_infotext);
}
