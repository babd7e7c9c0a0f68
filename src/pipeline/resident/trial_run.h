// What a checkpoint of SD 2.x predicts, where its files do not say: one run of its network tells.
#pragma once

#include "pipeline/resident/checkpoint_loader.h"

namespace lowrank::pipeline {

// The network answers a latent of one half everywhere, with text of one half everywhere, at the last timestep: with the
// noise that it sees, or as a v, which then is about the latent's negative. Below −1 the mean of answer − latent is taken
// for a v. Source: A1111's is_using_v_parameterization_for_sd2.
formats::PredictionType trial_prediction(const model::DiffusionModel& network);

// Of a family whose models differ in it (SD 2.x) and whose file states nothing: the mark in the weights decides where there
// is one, else the trial run; where they differ, the rule says so. Models with more inputs than the latent are not tried:
// A1111 takes them for epsilon models, as the mark does. The model must be prepared.
void judge_prediction(LoadedModel& model);

}  // namespace lowrank::pipeline
