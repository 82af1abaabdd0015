// Rows of the three data tables that say what a project can render. The name of a row is the level on the wire,
// or what its Wire says.
#pragma once

#include "CoreMinimal.h"
#include "Engine/DataTable.h"
#include "UObject/SoftObjectPtr.h"

#include "TmvTables.generated.h"

class UAnimationAsset;
class UMaterialInterface;
class USkeletalMesh;
class UStaticMesh;
class UWorld;

/** World_Name: a level that is streamed in, and where its stage is. Several rows may be views of one level. */
USTRUCT(BlueprintType)
struct TORCHMULTIVERSEBRIDGE_API FTmvWorldRow : public FTableRowBase
{
	GENERATED_BODY()

	/** The level on the wire: a packaged project may not keep the capital letters of a row's name. Empty: as the row. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	FString Wire;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	TSoftObjectPtr<UWorld> Level;

	/** The middle of the stage, in the level's coordinates. Its ground is found below it. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	FVector Stage = FVector::ZeroVector;

	/** Where the camera looks at Camera_Yaw 0, degrees. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	float StageYaw = 0.f;

	/** Degrees by which the world's own view looks down. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	float CameraElevation = 5.f;

	/** Multiplies the distance of the camera. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	float CameraReach = 1.f;

	/** Exposure compensation of the manual exposure, in stops: a property of the world, never of a picture. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	float ExposureBias = 0.f;

	/** Metres from which on the depth pass says that there is only sky. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	float SkyFrom = 2000.f;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	FString Source;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	FString License;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	FString Attribution;
};

/** Character_Name: a mesh with a pose. */
USTRUCT(BlueprintType)
struct TORCHMULTIVERSEBRIDGE_API FTmvCharacterRow : public FTableRowBase
{
	GENERATED_BODY()

	/** The level on the wire: a packaged project may not keep the capital letters of a row's name. Empty: as the row. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	FString Wire;

	/** One of the two meshes. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	TSoftObjectPtr<USkeletalMesh> SkeletalMesh;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	TSoftObjectPtr<UStaticMesh> StaticMesh;

	/** Pose of a skeletal mesh: an animation, held at PoseTime seconds. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	TSoftObjectPtr<UAnimationAsset> Pose;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	float PoseTime = 0.f;

	/** Turns the mesh so that its nose points along +X and it stands along +Z. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	FRotator Turn = FRotator::ZeroRotator;

	/** Length of its longest edge at scale 1, centimetres; 0 keeps the asset's size. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	float LongestEdge = 160.f;

	/** Height above the ground at scale 1, centimetres, of what flies or swims. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	float Hover = 0.f;

	/** Number of its class in the pass "class", from 1; 0: it has none. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	int32 ClassId = 0;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	FString ClassName;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	FString Source;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	FString License;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	FString Attribution;
};

/** Character_Texture: a material for all slots of a character, with parameters of a material instance. */
USTRUCT(BlueprintType)
struct TORCHMULTIVERSEBRIDGE_API FTmvTextureRow : public FTableRowBase
{
	GENERATED_BODY()

	/** The level on the wire: a packaged project may not keep the capital letters of a row's name. Empty: as the row. */
	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	FString Wire;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	TSoftObjectPtr<UMaterialInterface> Material;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	TMap<FName, float> Scalars;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	TMap<FName, FLinearColor> Colors;

	UPROPERTY(EditAnywhere, BlueprintReadWrite, Category = "TorchMultiverse")
	FString License;
};
