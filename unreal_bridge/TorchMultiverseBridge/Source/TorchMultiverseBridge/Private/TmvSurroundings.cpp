#include "TmvSurroundings.h"

#include "Components/DirectionalLightComponent.h"
#include "Components/ExponentialHeightFogComponent.h"
#include "Components/LightComponent.h"
#include "Components/SkyLightComponent.h"
#include "Engine/ExponentialHeightFog.h"
#include "Engine/Level.h"
#include "Engine/World.h"
#include "GameFramework/Actor.h"
#include "Kismet/KismetMaterialLibrary.h"
#include "Materials/MaterialParameterCollection.h"
#include "NiagaraComponent.h"
#include "NiagaraFunctionLibrary.h"
#include "NiagaraSystem.h"

#include "Pure/TmvConditions.h"
#include "TmvCatalogue.h"
#include "TmvSettings.h"
#include "TmvText.h"
#include "TmvWorlds.h"

namespace
{
	constexpr int32 WarmTicks = 240;  // four seconds: snow has reached the ground
	constexpr float TickSeconds = 1.f / 60.f;
	const FName RateParameter(TEXT("Rate"));
	constexpr float NoFalloff = 0.001f;  // the least that Unreal takes: less than 1 % over a hundred metres of height

	/** "255,0,0,0" → linear color; false for anything else. */
	bool ReadLight(const FString& Text, FLinearColor& OutColor)
	{
		TArray<FString> Parts;
		Text.ParseIntoArray(Parts, TEXT(","), false);
		if (Parts.Num() != 4)
		{
			return false;
		}
		uint8 Values[4];
		for (int32 Index = 0; Index < 4; ++Index)
		{
			const int32 Value = FCString::Atoi(*Parts[Index]);
			if (Value < 0 || Value > 255 || FString::FromInt(Value) != Parts[Index])
			{
				return false;
			}
			Values[Index] = static_cast<uint8>(Value);
		}
		OutColor = FLinearColor(FColor(Values[0], Values[1], Values[2], 255));
		return true;
	}
}

void FTmvSurroundings::Find(const FTmvWorlds& Worlds)
{
	ULevel* Level = Worlds.Level();
	if (Level == nullptr || Found == Worlds.Generation())
	{
		return;
	}
	Clear();
	Found = Worlds.Generation();
	for (AActor* Actor : Level->Actors)
	{
		if (Actor == nullptr)
		{
			continue;
		}
		TArray<ULightComponent*> Components;
		Actor->GetComponents<ULightComponent>(Components);
		for (ULightComponent* Component : Components)
		{
			Lights.Add({Component, Component->GetLightColor()});
			UDirectionalLightComponent* Directional = Cast<UDirectionalLightComponent>(Component);
			if (Directional && (!Sun.IsValid() || Directional->Intensity > Sun->Intensity))
			{
				Sun = Directional;
				SunTurn = Directional->GetComponentRotation();
			}
		}
		if (USkyLightComponent* Own = Actor->FindComponentByClass<USkyLightComponent>())
		{
			Sky = Own;
			SkyColor = Own->GetLightColor();
		}
		if (UExponentialHeightFogComponent* Own = Actor->FindComponentByClass<UExponentialHeightFogComponent>())
		{
			Fog = Own;
			FogOwn = {Own->FogDensity, Own->FogHeightFalloff, Own->SecondFogData.FogDensity, Own->FogMaxOpacity,
				Own->StartDistance, Own->bEnableVolumetricFog != 0};
			bOwnFog = true;
		}
	}
}

FTmvRefusal FTmvSurroundings::Apply(UWorld& World, const FTmvWorlds& Worlds, const UTmvSettings& Settings,
	const tmv::Value& Levels, tmv::Value& OutShown)
{
	using tmv_ue::Condition;
	FTmvRefusal Refusal = Tint(TmvText::Text(Levels, "Scene_Light"));
	if (Refusal.IsSet())
	{
		return Refusal;
	}
	TmvShow(Levels, "Scene_Light", OutShown);
	for (const tmv_ue::ConditionRow& Row : tmv_ue::kConditions)
	{
		const double Value = TmvText::Number(Levels, Row.wire);
		switch (Row.kind)
		{
		case Condition::SunElevation:
		case Condition::SunAzimuth:  // both at once, below
			break;
		case Condition::FogVisibility:
			Refusal = SetFog(World, TmvText::Given(Levels, Row.wire));
			break;
		case Condition::Rain:
			Refusal = Fall(World, Worlds, Settings.RainSystem.LoadSynchronous(), TEXT("Rain"), Value / Settings.RainFull(), Rain);
			break;
		case Condition::Snow:
			Refusal = Fall(World, Worlds, Settings.SnowSystem.LoadSynchronous(), TEXT("Snow"), Value / Settings.SnowFull(), Snow);
			break;
		case Condition::Wetness:
		case Condition::SnowCover:
			Refusal = Cover(World, Settings, Row.wire, Value);
			break;
		default:  // the camera's: TmvRig
			continue;
		}
		if (Refusal.IsSet())
		{
			return Refusal;
		}
		TmvShow(Levels, Row.wire, OutShown);
	}
	Refusal = MoveSun(Worlds, TmvText::Given(Levels, "Sun_Elevation"), TmvText::Given(Levels, "Sun_Azimuth"));
	if (!Refusal.IsSet() && Sky.IsValid() && !Sky->bRealTimeCapture)
	{
		Sky->RecaptureSky();
	}
	return Refusal;
}

FTmvRefusal FTmvSurroundings::Tint(const FString& Light)
{
	FLinearColor Color;
	if (!ReadLight(Light, Color))
	{
		return FTmvRefusal::Because(
			FString::Printf(TEXT("Scene_Light = '%s': four numbers from 0 to 255 are right, such as 255,0,0,0"), *Light));
	}
	const bool bWhite = Color.R == 1.f && Color.G == 1.f && Color.B == 1.f;
	for (const FLight& One : Lights)
	{
		ULightComponent* Component = One.Component.Get();
		if (Component == nullptr)
		{
			continue;
		}
		if (!bWhite && Component->Mobility == EComponentMobility::Static)
		{
			return FTmvRefusal::Because(FString::Printf(
				TEXT("Scene_Light = '%s': the light of this world is baked (%s is static)"), *Light, *Component->GetPathName()));
		}
		Component->SetLightColor(One.Color * Color, false);
	}
	if (USkyLightComponent* Component = Sky.Get())
	{
		if (!bWhite && Component->Mobility == EComponentMobility::Static)
		{
			return FTmvRefusal::Because(FString::Printf(
				TEXT("Scene_Light = '%s': the light of this world is baked (its sky light is static)"), *Light));
		}
		Component->SetLightColor(SkyColor * Color);
	}
	return {};
}

FTmvRefusal FTmvSurroundings::MoveSun(
	const FTmvWorlds& Worlds, std::optional<double> Elevation, std::optional<double> Azimuth)
{
	UDirectionalLightComponent* Light = Sun.Get();
	if (Light == nullptr || Light->Mobility != EComponentMobility::Movable)
	{
		return Elevation || Azimuth
			? FTmvRefusal::Because(TEXT("Sun_Elevation, Sun_Azimuth: this world has no directional light that is movable"))
			: FTmvRefusal();
	}
	FRotator Turn = SunTurn;
	if (Elevation)
	{
		Turn.Pitch = tmv_ue::sun_pitch(*Elevation);
	}
	if (Azimuth)
	{
		Turn.Yaw = tmv_ue::sun_yaw(*Azimuth, Worlds.Stage().Rotator().Yaw);
	}
	Light->SetWorldRotation(Turn);
	return {};
}

void FTmvSurroundings::Set(UExponentialHeightFogComponent& Component, const FFog& To)
{
	Component.SetFogDensity(To.Density);
	Component.SetFogHeightFalloff(To.Falloff);
	Component.SetSecondFogDensity(To.Second);
	Component.SetFogMaxOpacity(To.MostOpacity);
	Component.SetStartDistance(To.Start);
	Component.SetVolumetricFog(To.bVolumetric);
}

FTmvRefusal FTmvSurroundings::SetFog(UWorld& World, std::optional<double> Visibility)
{
	if (!Fog.IsValid() && Visibility)
	{
		if (AExponentialHeightFog* Actor = World.SpawnActor<AExponentialHeightFog>())
		{
			Fog = Actor->GetComponent();
			bOwnFog = false;
		}
	}
	UExponentialHeightFogComponent* Component = Fog.Get();
	if (Component == nullptr)
	{
		return Visibility
			? FTmvRefusal::Because(TEXT("Fog_Visibility: no exponential height fog can be spawned"), true)
			: FTmvRefusal();
	}
	if (Visibility)
	{
		// Instead of the world's own, and the same at each height: a visibility is one number.
		FFog Even;
		Even.Density = static_cast<float>(tmv_ue::fog_density(*Visibility));
		Even.Falloff = NoFalloff;
		Set(*Component, Even);
	}
	else if (bOwnFog)
	{
		Set(*Component, FogOwn);
	}
	if (!bOwnFog)
	{
		Component->SetVisibility(Visibility.has_value());
	}
	return {};
}

FTmvRefusal FTmvSurroundings::Cover(UWorld& World, const UTmvSettings& Settings, const char* Wire, double Share)
{
	UMaterialParameterCollection* Collection = Settings.SurfaceCollection.LoadSynchronous();
	const FName Parameter(*TmvText::FromUtf8(Wire));
	if (TmvCatalogue::HasScalar(Collection, Parameter))
	{
		UKismetMaterialLibrary::SetScalarParameterValue(&World, Collection, Parameter, static_cast<float>(Share));
		return {};
	}
	return Share == 0. ? FTmvRefusal() : FTmvRefusal::Because(FString::Printf(
		TEXT("%s: the project names no material parameter collection with it"), *Parameter.ToString()));
}

FTmvRefusal FTmvSurroundings::Fall(UWorld& World, const FTmvWorlds& Worlds, UNiagaraSystem* System, const TCHAR* What,
	double Rate, FWeather& Weather)
{
	if (Rate <= 0.)
	{
		if (UNiagaraComponent* Emitter = Weather.Emitter.Get())
		{
			Emitter->DestroyComponent();
		}
		Weather.Emitter.Reset();
		return {};
	}
	if (System == nullptr)
	{
		return FTmvRefusal::Because(FString::Printf(TEXT("%s: the project names no Niagara system for it"), What));
	}
	if (!Weather.Emitter.IsValid())
	{
		Weather.Emitter = UNiagaraFunctionLibrary::SpawnSystemAtLocation(
			&World, System, Worlds.Stage().GetLocation(), Worlds.Stage().Rotator(), FVector(1.), false, false);
	}
	UNiagaraComponent* Emitter = Weather.Emitter.Get();
	if (Emitter == nullptr)
	{
		return FTmvRefusal::Because(FString::Printf(TEXT("%s: its Niagara system cannot be spawned"), What), true);
	}
	Emitter->SetWorldLocation(Worlds.Stage().GetLocation());
	Emitter->SetVariableFloat(RateParameter, static_cast<float>(Rate));
	return {};
}

void FTmvSurroundings::Reseed(uint32 Seed)
{
	for (FWeather* Weather : {&Rain, &Snow})
	{
		if (UNiagaraComponent* Emitter = Weather->Emitter.Get())
		{
			Emitter->SetForceSolo(true);  // ticked by itself, so that it can be advanced at once
			Emitter->SetRandomSeedOffset(static_cast<int32>(Seed & 0x7fffffff));
			Emitter->Activate(true);
			Emitter->AdvanceSimulation(WarmTicks, TickSeconds);
			Emitter->SetPaused(true);
		}
	}
}

void FTmvSurroundings::Clear()
{
	for (FWeather* Weather : {&Rain, &Snow})
	{
		if (UNiagaraComponent* Emitter = Weather->Emitter.Get())
		{
			Emitter->DestroyComponent();
		}
		Weather->Emitter.Reset();
	}
	if (UExponentialHeightFogComponent* Component = Fog.Get(); Component && !bOwnFog)
	{
		Component->GetOwner()->Destroy();
	}
	Lights.Reset();
	Sky.Reset();
	Sun.Reset();
	Fog.Reset();
	FogOwn = FFog();
	bOwnFog = true;
	Found = 0;
}
