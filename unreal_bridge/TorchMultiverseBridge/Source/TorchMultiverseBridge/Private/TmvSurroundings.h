// The light and the weather of the world that is shown: Scene_Light and the conditions. What a world has of its own is
// kept when it is found, and everything is set from that, never from what the last scene left.
#pragma once

#include "CoreMinimal.h"
#include "UObject/WeakObjectPtr.h"

#include <optional>

#include "TmvShown.h"

class FTmvWorlds;
class UDirectionalLightComponent;
class UExponentialHeightFogComponent;
class ULightComponent;
class UNiagaraComponent;
class UNiagaraSystem;
class USkyLightComponent;
class UTmvSettings;
class UWorld;

class FTmvSurroundings
{
public:
	/** Forgets the last world and finds the lights and the fog of this one. */
	void Find(const FTmvWorlds& Worlds);
	FTmvRefusal Apply(UWorld& World, const FTmvWorlds& Worlds, const UTmvSettings& Settings, const tmv::Value& Levels,
		tmv::Value& OutShown);
	/** Starts rain and snow anew from a seed, so that a picture's drops depend on its scene alone. */
	void Reseed(uint32 Seed);
	void Clear();

private:
	struct FLight
	{
		TWeakObjectPtr<ULightComponent> Component;
		FLinearColor Color;
	};
	/** What a fog is by. */
	struct FFog
	{
		float Density = 0.f, Falloff = 0.f, Second = 0.f, MostOpacity = 1.f, Start = 0.f;
		bool bVolumetric = false;
	};
	static void Set(UExponentialHeightFogComponent& Component, const FFog& To);
	struct FWeather
	{
		TWeakObjectPtr<UNiagaraComponent> Emitter;
	};

	FTmvRefusal Tint(const FString& Light);
	FTmvRefusal MoveSun(const FTmvWorlds& Worlds, std::optional<double> Elevation, std::optional<double> Azimuth);
	FTmvRefusal SetFog(UWorld& World, std::optional<double> Visibility);
	static FTmvRefusal Cover(UWorld& World, const UTmvSettings& Settings, const char* Wire, double Share);
	static FTmvRefusal Fall(UWorld& World, const FTmvWorlds& Worlds, UNiagaraSystem* System, const TCHAR* What,
		double Rate, FWeather& Weather);

	TArray<FLight> Lights;
	TWeakObjectPtr<USkyLightComponent> Sky;
	FLinearColor SkyColor = FLinearColor::White;
	TWeakObjectPtr<UDirectionalLightComponent> Sun;
	FRotator SunTurn = FRotator::ZeroRotator;
	TWeakObjectPtr<UExponentialHeightFogComponent> Fog;
	FFog FogOwn;
	bool bOwnFog = true;
	FWeather Rain, Snow;
	uint32 Found = 0;
};
