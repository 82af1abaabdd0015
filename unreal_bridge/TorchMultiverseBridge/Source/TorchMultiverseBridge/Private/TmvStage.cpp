#include "TmvStage.h"

#include "Engine/World.h"
#include "Kismet/GameplayStatics.h"
#include "Misc/CommandLine.h"
#include "Misc/Parse.h"

#include <optional>
#include <utility>

#include "Pure/TmvConditions.h"
#include "Pure/TmvPlacement.h"
#include "TmvCatalogue.h"
#include "TmvLog.h"
#include "TmvText.h"
#include "tmv/scene.hpp"

namespace
{
	UDataTable* LoadTable(const TSoftObjectPtr<UDataTable>& Asset, const TCHAR* What)
	{
		UDataTable* Table = Asset.LoadSynchronous();
		if (Table == nullptr)
		{
			UE_LOG(LogTmvBridge, Warning, TEXT("no table of %s: set it in the project settings"), What);
		}
		return Table;
	}
}

void FTmvStage::Load(const UTmvSettings& From)
{
	Settings = &From;
	Worlds_.Reset(LoadTable(From.Worlds, TEXT("worlds")));
	Characters_.Reset(LoadTable(From.Characters, TEXT("characters")));
	Textures_.Reset(LoadTable(From.Textures, TEXT("textures")));
	FString Folder = From.GltfFolder;
	FParse::Value(FCommandLine::Get(), TEXT("TmvGltf="), Folder);
	Gltf.Scan(Folder);
	bMarker = FParse::Param(FCommandLine::Get(), TEXT("TmvMarker"));
}

void FTmvStage::Enter(UWorld& NewWorld, ATmvRig& NewRig)
{
	World = &NewWorld;
	Rig = &NewRig;
	Worlds = FTmvWorlds();
	Characters = FTmvCharacters();
	Surroundings = FTmvSurroundings();
	State = EState::Idle;
	ShownJson.clear();
	NewRig.SetMaterials(Settings->StencilMaterial.LoadSynchronous(), bMarker ? Settings->MarkerMaterial.LoadSynchronous() : nullptr);
}

void FTmvStage::Begin(const tmv::Command& Apply)
{
	Levels = Apply.levels;
	Width = static_cast<int32>(Apply.width);
	Height = static_cast<int32>(Apply.height);
	Began = -1.;
	if (Apply.changes.empty() && !Apply.resize && !ShownJson.empty() && !Worlds.Shown().IsEmpty())
	{
		// The same scene again: what is shown and its temporal history stay as they are.
		State = EState::Applied;
		return;
	}
	ShownJson.clear();
	Why = FTmvRefusal();
	if (!World.IsValid() || !Rig.IsValid() || !Worlds_.IsValid() || !Characters_.IsValid())
	{
		Why = FTmvRefusal::Because(TEXT("this project has no tables of worlds and characters, or no level is played"));
	}
	if (!Why.IsSet())
	{
		const uint32 Before = Worlds.Generation();
		Why = Worlds.Show(*World, *Worlds_, TmvText::Text(Levels, "World_Name"));
		if (Before != Worlds.Generation())
		{
			// A level begins to play when it is streamed in, which it does not do in a paused game; Dress pauses it again.
			UGameplayStatics::SetGamePaused(World.Get(), false);
			Characters.Clear();
			Surroundings.Clear();
		}
	}
	State = Why.IsSet() ? EState::Refused : EState::Waiting;
}

FTmvStage::EState FTmvStage::Tick(double NowSeconds)
{
	if (State != EState::Waiting)
	{
		return std::exchange(State, EState::Idle);
	}
	Began = Began < 0. ? NowSeconds : Began;
	const FTmvWorlds::EState World_ = Worlds.Poll();
	if (World_ == FTmvWorlds::EState::Loading && NowSeconds - Began < Settings->MaxSeconds)
	{
		return State;
	}
	if (World_ == FTmvWorlds::EState::Shown)
	{
		Why = Dress();
	}
	else if (World_ == FTmvWorlds::EState::Loading)
	{
		Why = FTmvRefusal::Because(
			FString::Printf(TEXT("the level is still loading after %.0f seconds"), Settings->MaxSeconds), true);
	}
	else
	{
		Why = FTmvRefusal::Because(TEXT("the level was lost, or it is a partitioned world, which cannot be streamed as one"));
	}
	State = EState::Idle;
	return Why.IsSet() ? EState::Refused : EState::Applied;
}

FTmvRefusal FTmvStage::Dress()
{
	// Nothing may move by itself: animations, emitters and materials that read the time stand still.
	if (!UGameplayStatics::SetGamePaused(World.Get(), true))
	{
		UE_LOG(LogTmvBridge, Warning, TEXT("the game cannot be paused: pictures of one scene will differ by what moves in it"));
	}
	tmv::Value Shown = tmv::Value::object();
	Shown.set("World_Name", tmv::Value::string(TmvText::ToUtf8(Worlds.Shown())));
	Surroundings.Find(Worlds);
	FTmvRefusal Refusal = Characters.Apply(
		*World, Worlds, *Characters_, Textures_.Get(), Gltf, Levels, Settings->CharacterCount(), Shown);
	if (!Refusal.IsSet())
	{
		Refusal = Surroundings.Apply(*World, Worlds, *Settings, Levels, Shown);
	}
	if (!Refusal.IsSet())
	{
		Refusal = AimCamera(Shown);
	}
	if (Refusal.IsSet())
	{
		return Refusal;
	}
	std::string Error;
	tmv::FactorTable Table = tmv::FactorTable::published();
	tmv::Scene Scene;
	if (!Table.extend(TmvCatalogue::FurtherFactors(*Settings), Error) || !tmv::Scene::read(Shown, Table, Scene, Error)
		|| !tmv::json::canonical(Shown, ShownJson))
	{
		return FTmvRefusal::Because(FString::Printf(TEXT("what the world shows is no scene: %s"), *TmvText::FromUtf8(Error)));
	}
	bWeather = TmvText::Number(Levels, "Rain") > 0. || TmvText::Number(Levels, "Snow") > 0.;
	Surroundings.Reseed(tmv::scene_seed("0", Scene.id()));
	if (!Rig->ShowCard(bMarker ? Scene.id() : std::string()))
	{
		return FTmvRefusal::Because(TEXT("-TmvMarker needs the marker material of the project settings"));
	}
	Facts.Changed();
	Rig->Cut();
	return {};
}

FTmvRefusal FTmvStage::AimCamera(tmv::Value& OutShown)
{
	TArray<tmv_ue::Place> Spots;
	for (int32 Number = 1; Number <= Settings->CharacterCount(); ++Number)
	{
		tmv_ue::Place Spot = tmv_ue::Place::Center;
		if (Number > 2)
		{
			const FString Name = TmvText::Text(Levels, FTmvCharacters::Prefix(Number) + "_Name");
			Spot = Name.IsEmpty() || Name == TEXT("blank") ? tmv_ue::Place::Center : tmv_ue::Place::Location;
		}
		else
		{
			tmv_ue::place_of(TmvText::ToUtf8(TmvText::Text(Levels, FTmvCharacters::PlaceWire(Number))), Spot);
		}
		Spots.Add(Spot);
	}
	const auto IsThere = [this](int32 Number)
	{
		return TmvText::Text(Levels, FTmvCharacters::Prefix(Number) + "_Name") != TEXT("blank");
	};
	if (Spots.Num() >= 2)
	{
		tmv_ue::separate(Spots[0], Spots[1], IsThere(1) && IsThere(2));
	}
	const FTmvWorldRow& Row = Worlds.Row();
	tmv_ue::Layout Layout = tmv_ue::layout_of(Spots.GetData(), Spots.Num());
	double Elevation = Row.CameraElevation;
	if (!tmv_ue::fit({TmvText::Given(Levels, "Camera_Focal_Length"), TmvText::Given(Levels, "Camera_Distance"),
						 TmvText::Given(Levels, "Camera_Height")},
			Row.CameraReach, Layout, Elevation))
	{
		const double Far = Layout.distance * Row.CameraReach / 100., High = Layout.height / 100.;
		return FTmvRefusal::Because(FString::Printf(
			TEXT("Camera_Height: a camera %.2f m from what it looks at, which is %.2f m above the ground, is from %.2f to %.2f m high"),
			Far, High, High - Far, High + Far));
	}
	const tmv_ue::Angles Angles{TmvText::Number(Levels, "Camera_Pitch"), TmvText::Number(Levels, "Camera_Yaw"),
		TmvText::Number(Levels, "Camera_Roll")};
	Rig->Resize(Width, Height);
	Rig->Aim(tmv_ue::camera_of(Layout, Angles, Elevation, Row.CameraReach, Worlds.Ground(FVector::ZeroVector),
				 Width, Height),
		Worlds.Stage());
	Way = tmv_ue::way_of(TmvText::Number(Levels, "Character_Speed"), TmvText::Number(Levels, "Camera_Shutter"));
	FTmvLens Lens;
	Lens.ExposureBias = Row.ExposureBias + static_cast<float>(TmvText::Number(Levels, "Camera_Exposure"));
	Lens.Aperture = static_cast<float>(TmvText::Number(Levels, "Camera_Aperture"));
	Lens.SensorWidth = static_cast<float>(tmv_ue::sensor_width(Width, Height));
	const std::optional<double> Focus = TmvText::Given(Levels, "Camera_Focus");
	Lens.FocusDistance = static_cast<float>(Focus ? *Focus * 100. : Layout.distance * Row.CameraReach);
	Lens.bMotionBlur = Way > 0.;
	Rig->SetLens(Lens);
	for (const char* Wire : {"Camera_Yaw", "Camera_Pitch", "Camera_Roll", "Camera_Focal_Length", "Camera_Distance", "Camera_Height",
			 "Camera_Aperture", "Camera_Focus", "Camera_Exposure", "Camera_Shutter", "Character_Speed"})
	{
		TmvShow(Levels, Wire, OutShown);
	}
	return {};
}
