// Project Settings, Plugins, TorchMultiverse Bridge. Kept in Config/DefaultGame.ini.
#pragma once

#include "CoreMinimal.h"
#include "Engine/DeveloperSettings.h"
#include "UObject/SoftObjectPtr.h"

#include "TmvSettings.generated.h"

class UDataTable;
class UMaterialInterface;
class UMaterialParameterCollection;
class UNiagaraSystem;

UCLASS(Config = Game, DefaultConfig, meta = (DisplayName = "TorchMultiverse Bridge"))
class TORCHMULTIVERSEBRIDGE_API UTmvSettings : public UDeveloperSettings
{
	GENERATED_BODY()

public:
	/** Name and version that the catalogue says. */
	UPROPERTY(Config, EditAnywhere, Category = "Catalogue")
	FString EngineName = TEXT("unreal");

	UPROPERTY(Config, EditAnywhere, Category = "Catalogue")
	FString EngineVersion = TEXT("1");

	UPROPERTY(Config, EditAnywhere, Category = "Catalogue")
	TSoftObjectPtr<UDataTable> Worlds;

	UPROPERTY(Config, EditAnywhere, Category = "Catalogue")
	TSoftObjectPtr<UDataTable> Characters;

	UPROPERTY(Config, EditAnywhere, Category = "Catalogue")
	TSoftObjectPtr<UDataTable> Textures;

	/** How many characters a scene may have; more than two are Character3_Name and so on, at locations. */
	UPROPERTY(Config, EditAnywhere, Category = "Catalogue", meta = (ClampMin = "2", ClampMax = "8"))
	int32 MostCharacters = 2;

	/** Folder of .glb files that are characters as well; -TmvGltf=FOLDER overrides it. Needs TorchMultiverseGltf. */
	UPROPERTY(Config, EditAnywhere, Category = "Catalogue")
	FString GltfFolder;

	/** Post-process material that writes the stencil of what is seen; without it there is no mask. */
	UPROPERTY(Config, EditAnywhere, Category = "Passes")
	TSoftObjectPtr<UMaterialInterface> StencilMaterial;

	/** Unlit material with a texture parameter "Card"; with it and -TmvMarker every picture is a test card. */
	UPROPERTY(Config, EditAnywhere, Category = "Passes")
	TSoftObjectPtr<UMaterialInterface> MarkerMaterial;

	/** Emitters with a float parameter "Rate" (0 to 1). Without one the condition is not announced. */
	UPROPERTY(Config, EditAnywhere, Category = "Conditions")
	TSoftObjectPtr<UNiagaraSystem> RainSystem;

	/** Millimetres an hour that the rain's Rate 1 stands for. */
	UPROPERTY(Config, EditAnywhere, Category = "Conditions", meta = (ClampMin = "0.1"))
	float RainAtFullRate = 50.f;

	UPROPERTY(Config, EditAnywhere, Category = "Conditions")
	TSoftObjectPtr<UNiagaraSystem> SnowSystem;

	/** Centimetres an hour that the snow's Rate 1 stands for. */
	UPROPERTY(Config, EditAnywhere, Category = "Conditions", meta = (ClampMin = "0.1"))
	float SnowAtFullRate = 5.f;

	/** Collection whose scalars "Wetness" and "Snow_Cover" the materials of the worlds read; each is announced if it is there. */
	UPROPERTY(Config, EditAnywhere, Category = "Conditions")
	TSoftObjectPtr<UMaterialParameterCollection> SurfaceCollection;

	/** Whether the worlds' sun is movable, so that Sun_Elevation and Sun_Azimuth are announced. */
	UPROPERTY(Config, EditAnywhere, Category = "Conditions")
	bool bSunMoves = true;

	/** Whether Camera_Shutter and Character_Speed are announced. They most need a look before they are trusted. */
	UPROPERTY(Config, EditAnywhere, Category = "Conditions")
	bool bMotionBlur = false;

	/** Frames in a row with nothing loading before a picture is read back: the temporal history. */
	UPROPERTY(Config, EditAnywhere, Category = "Settle", meta = (ClampMin = "1"))
	int32 QuietFrames = 32;

	UPROPERTY(Config, EditAnywhere, Category = "Settle", meta = (ClampMin = "1"))
	int32 MaxFrames = 3600;

	UPROPERTY(Config, EditAnywhere, Category = "Settle", meta = (ClampMin = "1"))
	float MaxSeconds = 120.f;

	double RainFull() const { return FMath::Max(0.1, static_cast<double>(RainAtFullRate)); }
	double SnowFull() const { return FMath::Max(0.1, static_cast<double>(SnowAtFullRate)); }
	int32 CharacterCount() const { return FMath::Clamp(MostCharacters, 2, 8); }

	virtual FName GetCategoryName() const override { return TEXT("Plugins"); }
};
