#include "TmvCharacters.h"

#include "Animation/AnimationAsset.h"
#include "Components/SkeletalMeshComponent.h"
#include "Components/StaticMeshComponent.h"
#include "Engine/DataTable.h"
#include "Engine/SkeletalMesh.h"
#include "Engine/StaticMesh.h"
#include "Engine/World.h"
#include "GameFramework/Actor.h"
#include "Materials/MaterialInstanceDynamic.h"
#include "Materials/MaterialInterface.h"

#include "Pure/TmvPlacement.h"
#include "TmvText.h"
#include "TmvWorlds.h"

namespace
{
	const TCHAR* const Blank = TEXT("blank");
	const TCHAR* const Default = TEXT("Default");

	USkeletalMeshComponent* MakeSkeletal(AActor& Actor, USkeletalMesh* Mesh, UAnimationAsset* Pose, float Time)
	{
		USkeletalMeshComponent* Component = NewObject<USkeletalMeshComponent>(&Actor);
		Component->SetSkeletalMesh(Mesh);
		Component->RegisterComponent();
		if (Pose)
		{
			Component->SetAnimationMode(EAnimationMode::AnimationSingleNode);
			Component->SetAnimation(Pose);
			Component->SetPosition(Time, false);
			Component->TickAnimation(0.f, false);
			Component->RefreshBoneTransforms();
		}
		Component->bPauseAnims = true;
		return Component;
	}
}

std::string FTmvCharacters::Prefix(int32 Number)
{
	return Number == 1 ? "Character" : "Character" + std::to_string(Number);
}

std::string FTmvCharacters::PlaceWire(int32 Number)
{
	return Number <= 2 ? "Character" + std::to_string(Number) + "_Pos" : std::string();
}

FTmvRefusal FTmvCharacters::Apply(UWorld& World, const FTmvWorlds& Worlds, const UDataTable& Characters,
	const UDataTable* Textures, const FTmvGltfFolder& Gltf, const tmv::Value& Levels, int32 Most, tmv::Value& OutShown)
{
	while (All.Num() < Most)
	{
		All.AddDefaulted();
	}
	ClassIds.Init(0, Most);

	// Where the first two stand, before anything is moved: what cannot be is refused as a whole.
	tmv_ue::Place Spots[2] = {tmv_ue::Place::Center, tmv_ue::Place::Center};
	bool bThere[2] = {false, false};
	for (int32 Number = 1; Number <= FMath::Min(Most, 2); ++Number)
	{
		const FString Level = TmvText::Text(Levels, PlaceWire(Number));
		if (!tmv_ue::place_of(TmvText::ToUtf8(Level), Spots[Number - 1]))
		{
			return FTmvRefusal::Because(FString::Printf(
				TEXT("Character%d_Pos = '%s' is unknown here; center, left, right, bottom, top and location are right"),
				Number, *Level));
		}
		bThere[Number - 1] = TmvText::Text(Levels, Prefix(Number) + "_Name") != Blank;
	}
	if (!tmv_ue::separate(Spots[0], Spots[1], bThere[0] && bThere[1]))
	{
		return FTmvRefusal::Because(TEXT("both characters are in one place; give Character1_Pos and Character2_Pos two"));
	}

	for (int32 Number = 1; Number <= Most; ++Number)
	{
		FCharacter& Character = All[Number - 1];
		const std::string Wire = Prefix(Number);
		const FString Name = TmvText::Text(Levels, Wire + "_Name");
		if (Name.IsEmpty() || Name == Blank)
		{
			Remove(Character);
		}
		else
		{
			FTmvRefusal Refusal = Spawn(World, Character, Number, Name, Characters, Gltf);
			if (!Refusal.IsSet())
			{
				Refusal = Dress(Character, TmvText::Text(Levels, Wire + "_Texture"), Textures);
			}
			if (!Refusal.IsSet())
			{
				const tmv_ue::Place Spot = Number <= 2 ? Spots[Number - 1] : tmv_ue::Place::Location;
				const int32 Other = 2 - Number;  // index of the other of the two
				const bool bBelow = Number <= 2 && bThere[Other]
					&& (Spots[Other] == tmv_ue::Place::Bottom || Spots[Other] == tmv_ue::Place::Center);
				const double Below = bBelow ? TmvText::Number(Levels, Prefix(Other + 1) + "_Scale") : 1.;
				Refusal = Place(Character, Worlds, Levels, Wire, static_cast<int32>(Spot), Below);
			}
			if (Refusal.IsSet())
			{
				return Refusal;
			}
			ClassIds[Number - 1] = static_cast<uint16>(FMath::Clamp(Character.Row.ClassId, 0, 65535));
		}
		for (const char* Part : {"_Name", "_Scale", "_Rotation_Yaw", "_Rotation_Roll", "_Rotation_Pitch", "_Texture", "_Location"})
		{
			TmvShow(Levels, Wire + Part, OutShown);
		}
		TmvShow(Levels, PlaceWire(Number), OutShown);
	}
	return {};
}

FTmvRefusal FTmvCharacters::Spawn(UWorld& World, FCharacter& Character, int32 Number, const FString& Name,
	const UDataTable& Table, const FTmvGltfFolder& Gltf)
{
	if (Character.Name == Name && Character.Actor.IsValid() && Character.Mesh.IsValid())
	{
		return {};
	}
	Remove(Character);
	USkeletalMesh* Skeletal = nullptr;
	UStaticMesh* Static = nullptr;
	if (const FTmvCharacterRow* Row = Table.FindRow<FTmvCharacterRow>(FName(*Name), TEXT("Character_Name"), false))
	{
		Character.Row = *Row;
		Skeletal = Row->SkeletalMesh.LoadSynchronous();
		Static = Skeletal ? nullptr : Row->StaticMesh.LoadSynchronous();
	}
	else if (const FString* File = Gltf.Files().Find(Name))
	{
		Character.Row = FTmvCharacterRow();
		FString Error;
		Static = FTmvGltfFolder::Load(*File, Error);
		if (Static == nullptr)
		{
			return FTmvRefusal::Because(FString::Printf(TEXT("Character_Name = '%s': %s"), *Name, *Error));
		}
	}
	if (Skeletal == nullptr && Static == nullptr)
	{
		return FTmvRefusal::Because(FString::Printf(
			TEXT("Character_Name = '%s': there is no such row with a mesh that can be loaded, and no such glTF file"), *Name));
	}

	FActorSpawnParameters Parameters;
	Parameters.SpawnCollisionHandlingOverride = ESpawnActorCollisionHandlingMethod::AlwaysSpawn;
	AActor* Actor = World.SpawnActor<AActor>(AActor::StaticClass(), FTransform::Identity, Parameters);
	if (Actor == nullptr)
	{
		return FTmvRefusal::Because(FString::Printf(TEXT("Character_Name = '%s': no actor can be spawned"), *Name), true);
	}
	UMeshComponent* Mesh = nullptr;
	if (Skeletal)
	{
		Mesh = MakeSkeletal(*Actor, Skeletal, Character.Row.Pose.LoadSynchronous(), Character.Row.PoseTime);
		Character.Asset = Skeletal;
	}
	else
	{
		UStaticMeshComponent* Component = NewObject<UStaticMeshComponent>(Actor);
		Component->SetMobility(EComponentMobility::Movable);
		Component->SetStaticMesh(Static);
		Component->RegisterComponent();
		Mesh = Component;
		Character.Asset = Static;
	}
	Actor->SetRootComponent(Mesh);
	Mesh->SetCollisionEnabled(ECollisionEnabled::NoCollision);  // the next one's ground is the world's
	Mesh->SetRenderCustomDepth(true);
	Mesh->SetCustomDepthStencilValue(Number);
	Mesh->bForceMipStreaming = true;
	Mesh->PrestreamTextures(30.f, true);
	Character.Name = Name;
	Character.Texture = Default;
	Character.Actor = Actor;
	Character.Mesh = Mesh;
	Character.Own.Reset();
	for (int32 Slot = 0; Slot < Mesh->GetNumMaterials(); ++Slot)
	{
		Character.Own.Emplace(Mesh->GetMaterial(Slot));
	}
	return {};
}

FTmvRefusal FTmvCharacters::Dress(FCharacter& Character, const FString& Texture, const UDataTable* Table)
{
	UMeshComponent* Mesh = Character.Mesh.Get();
	if (Texture == Character.Texture)
	{
		return {};
	}
	if (Texture == Default)
	{
		for (int32 Slot = 0; Slot < Character.Own.Num(); ++Slot)
		{
			Mesh->SetMaterial(Slot, Character.Own[Slot].Get());
		}
		Character.Texture = Texture;
		return {};
	}
	const FTmvTextureRow* Row =
		Table ? Table->FindRow<FTmvTextureRow>(FName(*Texture), TEXT("Character_Texture"), false) : nullptr;
	UMaterialInterface* Parent = Row ? Row->Material.LoadSynchronous() : nullptr;
	if (Parent == nullptr)
	{
		return FTmvRefusal::Because(FString::Printf(
			TEXT("Character_Texture = '%s': there is no such row with a material that can be loaded"), *Texture));
	}
	UMaterialInstanceDynamic* Instance = UMaterialInstanceDynamic::Create(Parent, Mesh);
	for (const TPair<FName, float>& Scalar : Row->Scalars)
	{
		Instance->SetScalarParameterValue(Scalar.Key, Scalar.Value);
	}
	for (const TPair<FName, FLinearColor>& Color : Row->Colors)
	{
		Instance->SetVectorParameterValue(Color.Key, Color.Value);
	}
	for (int32 Slot = 0; Slot < Mesh->GetNumMaterials(); ++Slot)
	{
		Mesh->SetMaterial(Slot, Instance);
	}
	Mesh->PrestreamTextures(30.f, true);
	Character.Texture = Texture;
	return {};
}

FTmvRefusal FTmvCharacters::Place(FCharacter& Character, const FTmvWorlds& Worlds, const tmv::Value& Levels,
	const std::string& Prefix, int32 Spot, double BelowScale)
{
	const tmv_ue::Place Where = static_cast<tmv_ue::Place>(Spot);
	const std::string Text = TmvText::ToUtf8(TmvText::Text(Levels, Prefix + "_Location"));
	tmv_ue::Point Location;
	if (!tmv_ue::read_location(Text, Location))
	{
		return FTmvRefusal::Because(FString::Printf(
			TEXT("%s_Location = '%s': three numbers from -1000 to 1000 are right"), *TmvText::FromUtf8(Prefix),
			*TmvText::FromUtf8(Text)));
	}
	if (Where != tmv_ue::Place::Location && (Location.x != 0 || Location.y != 0 || Location.z != 0))
	{
		return FTmvRefusal::Because(
			FString::Printf(TEXT("%s_Location is given, but its place is not 'location'"), *TmvText::FromUtf8(Prefix)));
	}
	UMeshComponent* Mesh = Character.Mesh.Get();
	// At yaw 0 it faces the picture's right; yaw is the last turn of a rotator, so 90 is simply added.
	const FRotator Turn(TmvText::Number(Levels, Prefix + "_Rotation_Pitch"),
		90. + TmvText::Number(Levels, Prefix + "_Rotation_Yaw"), TmvText::Number(Levels, Prefix + "_Rotation_Roll"));
	const FQuat Whole = Turn.Quaternion() * Character.Row.Turn.Quaternion();
	const FBoxSphereBounds Own = Mesh->CalcBounds(FTransform::Identity);
	const double Longest = 2. * Own.BoxExtent.GetMax();
	const double Scale = TmvText::Number(Levels, Prefix + "_Scale");
	const double Factor = Scale * (Character.Row.LongestEdge > 0.f && Longest > 0. ? Character.Row.LongestEdge / Longest : 1.);
	const FBoxSphereBounds Turned = Mesh->CalcBounds(FTransform(Whole, FVector::ZeroVector, FVector(Factor)));
	const tmv_ue::Point At = tmv_ue::spot_of(Where, Location, BelowScale);
	const double Hover = Where == tmv_ue::Place::Top ? 0. : Character.Row.Hover * Scale;
	const double Ground = Worlds.Ground(FVector(At.x, At.y, 0.));
	const FVector Stand(At.x - Turned.Origin.X, At.y - Turned.Origin.Y,
		Ground + At.z + Hover - (Turned.Origin.Z - Turned.BoxExtent.Z));
	Character.Standing = FTransform(Whole, Stand, FVector(Factor)) * Worlds.Stage();
	Mesh->SetWorldTransform(Character.Standing, false, nullptr, ETeleportType::ResetPhysics);
	if (!Mesh->GetComponentTransform().Equals(Character.Standing, 0.01))
	{
		return FTmvRefusal::Because(
			FString::Printf(TEXT("%s cannot be moved to its place"), *TmvText::FromUtf8(Prefix)));
	}
	return {};
}

void FTmvCharacters::Shift(double Way)
{
	for (FCharacter& Character : All)
	{
		if (UMeshComponent* Mesh = Character.Mesh.Get())
		{
			const FQuat Nose = Character.Standing.GetRotation() * Character.Row.Turn.Quaternion().Inverse();
			FTransform Moved = Character.Standing;
			Moved.AddToTranslation(Nose.RotateVector(FVector(Way, 0., 0.)));
			Mesh->SetWorldTransform(Moved, false, nullptr, ETeleportType::None);
		}
	}
}

void FTmvCharacters::Remove(FCharacter& Character)
{
	if (AActor* Actor = Character.Actor.Get())
	{
		Actor->Destroy();
	}
	Character = FCharacter();
}

void FTmvCharacters::Clear()
{
	for (FCharacter& Character : All)
	{
		Remove(Character);
	}
}
