// Makes the world show a scene: what an Apply of the core asks for, in the order in which a world can be changed.
#pragma once

#include "CoreMinimal.h"
#include "UObject/StrongObjectPtr.h"
#include "UObject/WeakObjectPtr.h"

#include <string>

#include "Engine/DataTable.h"
#include "TmvCharacters.h"
#include "TmvGltfFolder.h"
#include "TmvRig.h"
#include "TmvSettleFacts.h"
#include "TmvSettings.h"
#include "TmvShown.h"
#include "TmvSurroundings.h"
#include "TmvWorlds.h"
#include "tmv/bridge.hpp"

class FTmvStage
{
public:
	enum class EState : uint8
	{
		Idle,
		Waiting,
		Applied,
		Refused,
	};

	/** Loads the tables of the settings; what is missing is logged, and the catalogue is empty of it. */
	void Load(const UTmvSettings& Settings);
	/** Another persistent level: everything spawned is gone. */
	void Enter(UWorld& World, ATmvRig& Rig);

	void Begin(const tmv::Command& Apply);
	/** Called every frame while it is Waiting. */
	EState Tick(double NowSeconds);
	/** After Applied: the levels that the world shows, as JSON. */
	const std::string& Shown() const { return ShownJson; }
	const FTmvRefusal& Refusal() const { return Why; }

	const UDataTable* WorldTable() const { return Worlds_.Get(); }
	const UDataTable* CharacterTable() const { return Characters_.Get(); }
	const UDataTable* TextureTable() const { return Textures_.Get(); }
	const FTmvGltfFolder& GltfFolder() const { return Gltf; }

	FTmvWorlds Worlds;
	FTmvCharacters Characters;
	FTmvSurroundings Surroundings;
	FTmvSettleFacts Facts;
	/** Way of the characters while the shutter is open, centimetres. */
	double BlurWay() const { return Way; }
	/** Whether something falls whose drops depend on a seed. */
	bool HasWeather() const { return bWeather; }
	/** Whether every picture is the test card of its scene (-TmvMarker). */
	bool bMarker = false;

private:
	FTmvRefusal Dress();
	FTmvRefusal AimCamera(tmv::Value& OutShown);

	TStrongObjectPtr<UDataTable> Worlds_, Characters_, Textures_;
	TWeakObjectPtr<const UTmvSettings> Settings;
	TWeakObjectPtr<UWorld> World;
	TWeakObjectPtr<ATmvRig> Rig;
	FTmvGltfFolder Gltf;
	tmv::Value Levels;
	int32 Width = 512, Height = 512;
	double Began = -1., Way = 0.;
	bool bWeather = false;
	EState State = EState::Idle;
	FTmvRefusal Why;
	std::string ShownJson;
};
