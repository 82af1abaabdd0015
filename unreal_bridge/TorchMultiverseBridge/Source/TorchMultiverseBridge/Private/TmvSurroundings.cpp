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
#include "TmvSettings.h"
#include "TmvText.h"
#include "TmvWorlds.h"

namespace
{
	constexpr int32 WarmTicks = 240;  // four seconds: snow has reached the ground
	constexpr float TickSeconds = 1.f / 60.f;
	const FName RateParameter(TEXT("Rate"));
	const FName WetnessParameter(TEXT("Wetness"));

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
			FogDensity = Own->FogDensity;
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
	double SunYaw = 0., SunPitch = 0.;
	for (const tmv_ue::ConditionRow& Row : tmv_ue::kConditions)
	{
		const double Value = TmvText::Number(Levels, Row.wire);
		switch (Row.kind)
		{
		case Condition::SunYaw:
			SunYaw = Value;
			break;
		case Condition::SunPitch:
			SunPitch = Value;
			break;
		case Condition::Fog:
			Refusal = AddFog(World, Value * Settings.FogDensity);
			break;
		case Condition::Rain:
			Refusal = Fall(World, Worlds, Settings.RainSystem.LoadSynchronous(), TEXT("Rain"), Value, Rain);
			break;
		case Condition::Snow:
			Refusal = Fall(World, Worlds, Settings.SnowSystem.LoadSynchronous(), TEXT("Snow"), Value, Snow);
			break;
		case Condition::Wetness:
			if (UMaterialParameterCollection* Collection = Settings.WetnessCollection.LoadSynchronous())
			{
				UKismetMaterialLibrary::SetScalarParameterValue(
					&World, Collection, WetnessParameter, static_cast<float>(Value));
			}
			else if (Value != 0.)
			{
				Refusal = FTmvRefusal::Because(TEXT("Wetness: the project names no material parameter collection"));
			}
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
	Refusal = MoveSun(SunYaw, SunPitch);
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

FTmvRefusal FTmvSurroundings::MoveSun(double Yaw, double Pitch)
{
	UDirectionalLightComponent* Light = Sun.Get();
	if (Light == nullptr || Light->Mobility != EComponentMobility::Movable)
	{
		return Yaw == 0. && Pitch == 0.
			? FTmvRefusal()
			: FTmvRefusal::Because(TEXT("Sun_Yaw, Sun_Pitch: this world has no directional light that is movable"));
	}
	// The light shines along its X axis: a sun that stands higher shines more steeply down.
	Light->SetWorldRotation(FRotator(SunTurn.Pitch - Pitch, SunTurn.Yaw + Yaw, SunTurn.Roll));
	return {};
}

FTmvRefusal FTmvSurroundings::AddFog(UWorld& World, double Density)
{
	if (!Fog.IsValid() && Density > 0.)
	{
		if (AExponentialHeightFog* Actor = World.SpawnActor<AExponentialHeightFog>())
		{
			Fog = Actor->GetComponent();
			FogDensity = 0.f;
			bOwnFog = false;
		}
	}
	if (UExponentialHeightFogComponent* Component = Fog.Get())
	{
		Component->SetFogDensity(FogDensity + static_cast<float>(Density));
		if (!bOwnFog)
		{
			Component->SetVisibility(Density > 0.);
		}
		return {};
	}
	return Density > 0. ? FTmvRefusal::Because(TEXT("Fog: no exponential height fog can be spawned"), true) : FTmvRefusal();
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
	FogDensity = 0.f;
	bOwnFog = true;
	Found = 0;
}
