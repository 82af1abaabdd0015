#include "TmvRig.h"

#include "Camera/CameraActor.h"
#include "Camera/CameraComponent.h"
#include "Components/SceneCaptureComponent2D.h"
#include "Engine/Scene.h"
#include "Engine/Texture2D.h"
#include "Engine/TextureRenderTarget2D.h"
#include "Engine/World.h"
#include "GameFramework/PlayerController.h"
#include "Materials/MaterialInstanceDynamic.h"
#include "Materials/MaterialInterface.h"
#include "Math/RotationMatrix.h"

#include <algorithm>

namespace
{
	const FName CardParameter(TEXT("Card"));

	void Plain(FEngineShowFlags& Flags)
	{
		// Nothing that moves, mixes or blurs pixels.
		Flags.SetAntiAliasing(false);
		Flags.SetTemporalAA(false);
		Flags.SetMotionBlur(false);
		Flags.SetDepthOfField(false);
		Flags.SetBloom(false);
		Flags.SetFog(false);
	}

	UTextureRenderTarget2D* MakeTarget(UObject& Outer, int32 Width, int32 Height, ETextureRenderTargetFormat Format)
	{
		UTextureRenderTarget2D* Target = NewObject<UTextureRenderTarget2D>(&Outer);
		Target->ClearColor = FLinearColor::Black;
		Target->bAutoGenerateMips = false;
		if (Format == RTF_RGBA8)
		{
			// What the tone mapper writes is encoded for a display: no other gamma may be applied to it.
			Target->InitCustomFormat(static_cast<uint32>(Width), static_cast<uint32>(Height), PF_B8G8R8A8, false);
			Target->TargetGamma = 2.2f;
		}
		else
		{
			Target->RenderTargetFormat = Format;
			Target->bForceLinearGamma = true;
			Target->InitAutoFormat(static_cast<uint32>(Width), static_cast<uint32>(Height));
		}
		Target->UpdateResourceImmediate(true);
		return Target;
	}

	void SetLensOf(FPostProcessSettings& Settings, const FTmvLens& Lens)
	{
		// Manual, always: an automatic exposure would depend on what is in the picture, and so on its label.
		Settings.bOverride_AutoExposureMethod = true;
		Settings.AutoExposureMethod = AEM_Manual;
		Settings.bOverride_AutoExposureApplyPhysicalCameraExposure = true;
		Settings.AutoExposureApplyPhysicalCameraExposure = false;
		Settings.bOverride_AutoExposureBias = true;
		Settings.AutoExposureBias = Lens.ExposureBias;
		Settings.bOverride_DepthOfFieldFstop = true;
		Settings.DepthOfFieldFstop = Lens.Aperture > 0.f ? Lens.Aperture : 32.f;
		Settings.bOverride_DepthOfFieldSensorWidth = true;
		Settings.DepthOfFieldSensorWidth = Lens.SensorWidth;
		Settings.bOverride_DepthOfFieldFocalDistance = true;
		Settings.DepthOfFieldFocalDistance = Lens.Aperture > 0.f ? Lens.FocusDistance : 0.f;  // 0: no depth of field
		Settings.bOverride_MotionBlurAmount = true;
		Settings.MotionBlurAmount = Lens.bMotionBlur ? 1.f : 0.f;
		Settings.bOverride_MotionBlurMax = true;
		Settings.MotionBlurMax = Lens.bMotionBlur ? 100.f : 0.f;
		Settings.bOverride_MotionBlurTargetFPS = true;
		Settings.MotionBlurTargetFPS = 0;  // the way between two frames is the way while the shutter is open
	}
}

ATmvRig::ATmvRig()
{
	PrimaryActorTick.bCanEverTick = false;
	Rgb = MakeCapture(TEXT("Rgb"));
	SetRootComponent(Rgb);
	Mask = MakeCapture(TEXT("Mask"));
	Depth = MakeCapture(TEXT("Depth"));
	Normals = MakeCapture(TEXT("Normals"));

	Rgb->CaptureSource = SCS_FinalColorLDR;
	Rgb->bAlwaysPersistRenderingState = true;
	Rgb->ShowFlags.SetTemporalAA(true);
	Rgb->ShowFlags.SetAntiAliasing(true);
	Rgb->ShowFlags.SetEyeAdaptation(true);  // manual exposure is applied where automatic would be
	Rgb->ShowFlags.SetDepthOfField(true);
	Rgb->ShowFlags.SetMotionBlur(true);
	Mask->CaptureSource = SCS_FinalColorLDR;
	Depth->CaptureSource = SCS_SceneDepth;
	Normals->CaptureSource = SCS_Normal;
	for (USceneCaptureComponent2D* Capture : {Mask.Get(), Depth.Get(), Normals.Get()})
	{
		Plain(Capture->ShowFlags);
	}
	SetLens(FTmvLens());
}

USceneCaptureComponent2D* ATmvRig::MakeCapture(const TCHAR* Name)
{
	USceneCaptureComponent2D* Capture = CreateDefaultSubobject<USceneCaptureComponent2D>(Name);
	Capture->bCaptureEveryFrame = false;
	Capture->bCaptureOnMovement = false;
	Capture->PostProcessBlendWeight = 1.f;
	return Capture;
}

void ATmvRig::BeginPlay()
{
	Super::BeginPlay();
	Viewer = GetWorld()->SpawnActor<ACameraActor>();
	if (Viewer)
	{
		Viewer->GetCameraComponent()->bConstrainAspectRatio = false;
		if (APlayerController* Player = GetWorld()->GetFirstPlayerController())
		{
			Player->SetViewTargetWithBlend(Viewer, 0.f);
		}
	}
}

void ATmvRig::EndPlay(const EEndPlayReason::Type Reason)
{
	if (Viewer)
	{
		Viewer->Destroy();
	}
	Super::EndPlay(Reason);
}

void ATmvRig::SetMaterials(UMaterialInterface* Stencil, UMaterialInterface* Marker)
{
	if (Stencil)
	{
		Mask->PostProcessSettings.AddBlendable(Stencil, 1.f);
	}
	MarkerParent = Marker;
}

void ATmvRig::Resize(int32 NewWidth, int32 NewHeight)
{
	if (NewWidth == Width && NewHeight == Height)
	{
		return;
	}
	Width = NewWidth;
	Height = NewHeight;
	Rgb->TextureTarget = MakeTarget(*this, Width, Height, RTF_RGBA8);
	Mask->TextureTarget = MakeTarget(*this, Width, Height, RTF_RGBA32f);
	Depth->TextureTarget = MakeTarget(*this, Width, Height, RTF_R32f);
	Normals->TextureTarget = MakeTarget(*this, Width, Height, RTF_RGBA32f);
}

void ATmvRig::Aim(const tmv_ue::Camera& Camera, const FTransform& Stage)
{
	Aimed = Camera;
	const FTransform Local(FRotator(Camera.turn.pitch, Camera.turn.yaw, Camera.turn.roll),
		FVector(Camera.position.x, Camera.position.y, Camera.position.z));
	Look(Local * Stage, static_cast<float>(Camera.horizontal));
}

void ATmvRig::Look(const FTransform& At, float Opening)
{
	for (USceneCaptureComponent2D* Capture : {Rgb.Get(), Mask.Get(), Depth.Get(), Normals.Get()})
	{
		Capture->SetWorldLocationAndRotation(At.GetLocation(), At.GetRotation());
		Capture->FOVAngle = Opening;
	}
	if (Viewer)
	{
		Viewer->SetActorLocationAndRotation(At.GetLocation(), At.GetRotation());
		Viewer->GetCameraComponent()->SetFieldOfView(Opening);
	}
}

void ATmvRig::SetLens(const FTmvLens& Lens)
{
	SetLensOf(Rgb->PostProcessSettings, Lens);
	if (Viewer)
	{
		SetLensOf(Viewer->GetCameraComponent()->PostProcessSettings, Lens);
	}
}

bool ATmvRig::ShowCard(const std::string& SceneId)
{
	if (MarkerParent == nullptr)
	{
		return SceneId.empty();
	}
	if (MarkerMaterial == nullptr)
	{
		MarkerMaterial = UMaterialInstanceDynamic::Create(MarkerParent, this);
	}
	std::vector<uint8> Pixels;
	if (SceneId.empty() || !tmv_ue::marker_bgra(SceneId, Width, Height, Pixels))
	{
		Rgb->PostProcessSettings.RemoveBlendable(MarkerMaterial);
		return SceneId.empty();
	}
	Card = UTexture2D::CreateTransient(Width, Height, PF_B8G8R8A8);
	Card->SRGB = false;
	Card->Filter = TF_Nearest;
	FTexture2DMipMap& Mip = Card->GetPlatformData()->Mips[0];
	FMemory::Memcpy(Mip.BulkData.Lock(LOCK_READ_WRITE), Pixels.data(), Pixels.size());
	Mip.BulkData.Unlock();
	Card->UpdateResource();
	MarkerMaterial->SetTextureParameterValue(CardParameter, Card);
	Rgb->PostProcessSettings.AddBlendable(MarkerMaterial, 1.f);
	return true;
}

void ATmvRig::Cut()
{
	Rgb->bCameraCutThisFrame = true;  // reset by the next capture
}

void ATmvRig::Warm()
{
	if (Rgb->TextureTarget)
	{
		Rgb->CaptureScene();
	}
}

void ATmvRig::Shoot(FTmvShot& Shot)
{
	const auto Wanted = [&Shot](const char* Name)
	{
		return std::find(Shot.Passes.begin(), Shot.Passes.end(), Name) != Shot.Passes.end();
	};
	Shot.Width = Width;
	Shot.Height = Height;
	const FRotationMatrix Axes(Rgb->GetComponentRotation());
	const FVector Forward = Axes.GetScaledAxis(EAxis::X), Right = Axes.GetScaledAxis(EAxis::Y), Up = Axes.GetScaledAxis(EAxis::Z);
	for (int32 Index = 0; Index < 3; ++Index)
	{
		Shot.Camera.forward[Index] = static_cast<float>(Forward[Index]);
		Shot.Camera.right[Index] = static_cast<float>(Right[Index]);
		Shot.Camera.up[Index] = static_cast<float>(Up[Index]);
	}
	Rgb->CaptureScene();
	Shot.Rgb = FTmvReadback::Begin(*Rgb->TextureTarget, 4);
	if (Wanted("mask") || Wanted("class"))
	{
		Mask->CaptureScene();
		Shot.Mask = FTmvReadback::Begin(*Mask->TextureTarget, 16);
	}
	if (Wanted("depth") || Wanted("normals"))
	{
		Depth->CaptureScene();
		Shot.Depth = FTmvReadback::Begin(*Depth->TextureTarget, 4);
	}
	if (Wanted("normals"))
	{
		Normals->CaptureScene();
		Shot.Normals = FTmvReadback::Begin(*Normals->TextureTarget, 16);
	}
}
