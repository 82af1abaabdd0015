// What the project can render, for the core: its catalogue, the factors beyond the published ones, and the budget.
#pragma once

#include "CoreMinimal.h"

#include <string>

#include "tmv/json.hpp"

class FTmvStage;
class UTmvSettings;

namespace TmvCatalogue
{
	/** The core's config as JSON. */
	std::string Config(const UTmvSettings& Settings, const FTmvStage& Stage);
	/** As a spec declares them. */
	tmv::Value FurtherFactors(const UTmvSettings& Settings);
	/** Whether the stage applies a factor of that name. */
	bool Applies(const std::string& Wire, int32 MostCharacters);
}
