// What the project can render, for the core: its catalogue, the factors beyond the published ones, and the budget.
#pragma once

#include "CoreMinimal.h"

#include <string>

#include "tmv/json.hpp"

class FTmvStage;
class UMaterialParameterCollection;
class UTmvSettings;

namespace TmvCatalogue
{
	/** The core's config as JSON. */
	std::string Config(const UTmvSettings& Settings, const FTmvStage& Stage);
	/** The characters beyond the second, as a spec declares them. */
	tmv::Value FurtherFactors(const UTmvSettings& Settings);
	/** Whether a collection is there and has a scalar of that name. */
	bool HasScalar(const UMaterialParameterCollection* Collection, const FName& Name);
}
