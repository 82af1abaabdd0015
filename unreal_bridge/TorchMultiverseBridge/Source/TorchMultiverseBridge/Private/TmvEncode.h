// From what was read back to the files of the passes, as torchmultiverse/engines/codec.py decides them.
#pragma once

#include "CoreMinimal.h"

#include <string>
#include <vector>

#include "Pure/TmvPixels.h"
#include "TmvReadback.h"

/** What was captured of one picture, and how its passes are to be made of it. Moved to a worker thread as a whole. */
struct FTmvShot
{
	int32 Width = 0, Height = 0;
	bool bJpeg = false;
	std::vector<std::string> Passes;
	TSharedPtr<FTmvReadback, ESPMode::ThreadSafe> Rgb, Mask, Depth, Normals;
	tmv_ue::Axes Camera{};
	float SkyFrom = 2000.f;
	int32 MostCharacters = 2;
	std::vector<uint16> Classes;
};

struct FTmvFile
{
	std::string Pass, Extension, Bytes;
};

struct FTmvFiles
{
	TArray<FTmvFile> Files;
	FString Error;
};

namespace TmvEncode
{
	/** Must be called once on the game thread before the first Encode: modules are loaded there. */
	void Prepare();
	FTmvFiles Encode(const FTmvShot& Shot);
}
